"""Le logiciel d’un site par HTTP : `post visite.json`, `follow`, `withdraw NUMÉRO`. Python seul suffit."""

import json
import os
import sys
import time
from itertools import chain, repeat
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

headers = {"Authorization": f"Bearer {os.environ['RELAIS_TOKEN']}", "Content-Type": "application/json"}
referrals = f"{os.environ.get('REFERRAL_URL')}/v1/referrals"


def call(url, body=None):
    """La réponse ; renvoie le même document, donc le même visit_id, tant que Relais est absent ou occupé."""
    for pause in chain((1, 5, 30), repeat(60)):
        try:
            return json.load(urlopen(Request(url, body, headers), timeout=20))
        except HTTPError as error:
            if error.code < 500 and error.code != 429:
                sys.exit(f"Refusé ({error.code}) : {error.read().decode()}")
            wait = int(error.headers.get("Retry-After", pause))
        except OSError:
            wait = pause
        print(f"Pas de réponse : nouvel essai dans {wait} s", flush=True)
        time.sleep(wait)


match sys.argv[1:]:
    case ["post", file]:
        taken = call(f"{os.environ['INTAKE_URL']}/v1/visits", Path(file).read_bytes())
        print(f"Visite {taken['visit_id']} : dossier {taken['case']}, référence {taken['reference']}")
    case ["follow"]:
        cursor = Path(os.environ.get("CURSOR", "suivi"))  # ce qui a changé depuis la dernière fois
        while (page := call(f"{referrals}?after={cursor.read_text()}" if cursor.exists() else referrals))["referrals"]:
            for one in page["referrals"]:
                owes = f" ; {one['next']['owner']} : {one['next']['label']}" if one["next"] else ""
                print(f"Orientation {one['referral_id']} ({one['partner']}) : {one['state']}{owes}")
            cursor.write_text(page["next"])  # une fois la page enregistrée chez vous
    case ["withdraw", number]:
        print("Retirée :", call(f"{referrals}/{number}/withdraw", b'{"reason": "person"}')["state"])
