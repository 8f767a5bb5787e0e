"""Essaie votre récepteur sans Relais : signe un événement inventé, l’envoie deux fois. pip install standardwebhooks."""

import json
import os
import uuid
from datetime import UTC, datetime
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from standardwebhooks.webhooks import Webhook

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
url = f"http://127.0.0.1:{os.environ.get('WEBHOOK_PORT', '8080')}/"
now, event_id = datetime.now(UTC), str(uuid.uuid4())
data = {"referral_id": str(uuid.uuid4()), "to_state": "withdrawn", "step": 3}
event = {
    "specversion": "1.0",
    "id": event_id,
    "source": "/essai",
    "type": "fr.relais.ReferralWithdrawn.v1",
    "data": data,
}
body = json.dumps(event)
signature = webhook.sign(event_id, now, body)
for attempt, signed in (("Signé", signature), ("Le même", signature), ("Mal signé", "v1,AAAA")):
    headers = {"webhook-id": event_id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signed}
    try:
        status = urlopen(Request(url, body.encode(), headers), timeout=15).status
    except HTTPError as error:
        status = error.code
    print(f"{attempt} : {status}")
