"""Un partenaire par AMQP : lit sa file, accepte ce qu’on lui adresse, retient ce qu’il a traité. pip install pika."""

import json
import os
import sqlite3
import ssl
import time

import pika

parameters = pika.URLParameters(os.environ["BROKER_URL"])
if parameters.ssl_options:  # amqps:// : le certificat et le nom du serveur sont vérifiés
    context = ssl.create_default_context(cafile=os.environ.get("BROKER_CA_FILE"))
    parameters.ssl_options = pika.SSLOptions(context, parameters.host)
account = parameters.credentials.username  # partner.mission-locale-santerre
book = sqlite3.connect(os.environ.get("BOOK", "livre.db"))
book.execute("CREATE TABLE IF NOT EXISTS book (source, id, referral_id, state, step, PRIMARY KEY (source, id))")


def take(channel, method, _properties, body):
    """Une transaction par événement : s’il échoue en chemin, il revient, et la même réponse ne compte qu’une fois."""
    event = json.loads(body)
    kind, data = event["type"], event["data"]
    state, step = data.get("to_state", "sent"), data.get("step", 1)
    row = (event["source"], event["id"], data.get("referral_id"), state, step)
    with book:
        if book.execute("INSERT OR IGNORE INTO book VALUES (?, ?, ?, ?, ?)", row).rowcount == 0:
            print(f"Déjà traité : {event['id']}", flush=True)
        elif kind == "fr.relais.AnswerRefused.v1":
            print(f"Réponse refusée ({data['status']}) : {data['detail']}", flush=True)
        elif kind == "fr.relais.ReferralSent.v1":  # ici, votre traitement ; puis votre réponse
            print(f"Orientation {data['referral_id']} : {data['need']}, avant {data['due_at']}", flush=True)
            answer = {"referral_id": data["referral_id"], "answer_id": event["id"], "status": "accepted"}
            properties = pika.BasicProperties(content_type="application/json", delivery_mode=2, user_id=account)
            channel.basic_publish("answers", "", json.dumps(answer).encode(), properties)
        elif "step" in data:
            print(f"Orientation {data['referral_id']} : {state} (étape {step})", flush=True)
    channel.basic_ack(method.delivery_tag)


while True:
    try:
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()  # basic_publish attend la confirmation, et échoue si la file est pleine
            channel.basic_qos(prefetch_count=20)
            channel.basic_consume(account.replace("partner.", "out.", 1), take)
            channel.start_consuming()
    except (pika.exceptions.AMQPError, OSError) as error:
        print(f"{error!r} : nouvel essai dans 5 s", flush=True)
        time.sleep(5)
