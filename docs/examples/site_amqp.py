"""Un site par AMQP : envoie ses visites, attend la réponse à chacune, renvoie les autres. pip install pika."""

import json
import os
import ssl
import sys
import time
from pathlib import Path

import pika

parameters = pika.URLParameters(os.environ["BROKER_URL"])
if parameters.ssl_options:  # amqps:// : le certificat et le nom du serveur sont vérifiés
    context = ssl.create_default_context(cafile=os.environ.get("BROKER_CA_FILE"))
    parameters.ssl_options = pika.SSLOptions(context, parameters.host)
account = parameters.credentials.username  # site.fs-moreuil
visits = [Path(file).read_bytes() for file in sys.argv[1:]]
waiting = {json.loads(visit)["visit_id"]: visit for visit in visits}  # chez vous : une table


def exchange(channel):
    """Envoie ce qui attend, lit les réponses ; se termine quand tout a la sienne, ou après 30 s de silence."""
    for visit_id, visit in waiting.items():
        properties = pika.BasicProperties(
            content_type="application/json", delivery_mode=2, user_id=account, correlation_id=visit_id
        )
        channel.basic_publish("visits.in", "", visit, properties)
    for method, properties, body in channel.consume(account.replace("site.", "replies.", 1), inactivity_timeout=30):
        if method is None:
            return
        reply = json.loads(body)
        said = f"dossier {reply['case']}, référence {reply['reference']}" if reply["status"] < 300 else reply["detail"]
        print(f"Visite {properties.correlation_id} ({reply['status']}) : {said} {reply.get('errors', '')}", flush=True)
        if reply["status"] < 500:  # sinon, à renvoyer
            waiting.pop(properties.correlation_id, None)
        channel.basic_ack(method.delivery_tag)  # une fois la réponse enregistrée chez vous
        if not waiting:
            return


while waiting:
    try:
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()  # basic_publish attend la confirmation, et échoue si la file est pleine
            exchange(channel)
    except (pika.exceptions.AMQPError, OSError) as error:
        print(f"{error!r} : nouvel essai dans 5 s", flush=True)
        time.sleep(5)
