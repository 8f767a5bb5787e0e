"""Un partenaire par webhook : vérifie, retient, répond 204, puis accepte par HTTP. pip install standardwebhooks."""

import json
import os
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
headers = {"Authorization": f"Bearer {os.environ['RELAIS_TOKEN']}", "Content-Type": "application/json"}
book = sqlite3.connect(os.environ.get("BOOK", "livre.db"), isolation_level=None)
book.execute("CREATE TABLE IF NOT EXISTS inbox (source, id, event, done, PRIMARY KEY (source, id))")


class Receiver(BaseHTTPRequestHandler):
    """Ne fait que retenir, pour répondre vite ; ce qui arrive deux fois n’est retenu qu’une fois."""

    timeout = 10

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            event = webhook.verify(body, dict(self.headers))
            row = (event["source"], event["id"], json.dumps(event))
            book.execute("INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, false)", row)
            self.send_response(204)
        except WebhookVerificationError:
            self.send_response(401)
        self.end_headers()


def process(event):
    """Votre traitement ; s’il renvoie False, il est refait plus tard, et la même réponse ne compte qu’une fois."""
    data = event["data"]
    if "step" in data:
        print(f"Orientation {data['referral_id']} : {data['to_state']} (étape {data['step']})", flush=True)
    if event["type"] != "fr.relais.ReferralSent.v1":
        return True
    print(f"Orientation {data['referral_id']} : {data['need']}, avant {data['due_at']}", flush=True)
    answer = json.dumps({"answer_id": event["id"], "status": "accepted"}).encode()
    try:
        return urlopen(Request(data["links"]["answers"], answer, headers), timeout=10).status in {200, 201}
    except HTTPError as error:
        print(f"Réponse refusée ({error.code}) : {error.read().decode()}", flush=True)
        return error.code in {404, 409, 422}
    except OSError:
        return False


server = HTTPServer(("127.0.0.1", int(os.environ.get("WEBHOOK_PORT", "8080"))), Receiver)
server.timeout = 1
while True:
    server.handle_request()  # un envoi, ou rien en une seconde
    for row, event in book.execute("SELECT rowid, event FROM inbox WHERE NOT done ORDER BY rowid LIMIT 1").fetchall():
        if process(json.loads(event)):
            book.execute("UPDATE inbox SET done = true WHERE rowid = ?", (row,))
