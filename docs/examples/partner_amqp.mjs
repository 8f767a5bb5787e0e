// Un partenaire par AMQP : lit sa file, accepte ce qu’on lui adresse, retient ce qu’il a traité. npm install amqplib
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import amqp from "amqplib";

const { BROKER_URL, BROKER_CA_FILE, BOOK = "livre.txt" } = process.env;
const account = decodeURIComponent(new URL(BROKER_URL).username); // partner.mission-locale-santerre
const queue = account.replace("partner.", "out.");
const ca = BROKER_CA_FILE && [readFileSync(BROKER_CA_FILE)]; // amqps:// : certificat et nom du serveur sont vérifiés
// Ce qui est traité, un événement par ligne. Chez vous : une table, dans la transaction de votre traitement.
const seen = new Set(existsSync(BOOK) ? readFileSync(BOOK, "utf8").split("\n") : []);

async function take(channel, message) {
  const { source, id, type, data } = JSON.parse(message.content);
  if (seen.has(`${source} ${id}`)) return console.log(`Déjà traité : ${id}`);
  if (type === "fr.relais.AnswerRefused.v1") {
    console.log(`Réponse refusée (${data.status}) : ${data.detail}`);
  } else if (type === "fr.relais.ReferralSent.v1") { // ici, votre traitement ; puis votre réponse
    console.log(`Orientation ${data.referral_id} : ${data.need}, avant ${data.due_at}`);
    const answer = { referral_id: data.referral_id, answer_id: id, status: "accepted" };
    const options = { contentType: "application/json", persistent: true, userId: account };
    channel.publish("answers", "", Buffer.from(JSON.stringify(answer)), options);
    await channel.waitForConfirms(); // échoue si la file est pleine
  } else if (data.step) console.log(`Orientation ${data.referral_id} : ${data.to_state} (étape ${data.step})`);
  appendFileSync(BOOK, `${source} ${id}\n`);
  seen.add(`${source} ${id}`);
}

async function setup(connection) { // à chaque connexion
  const again = (error) => { // non acquitté, l’événement revient
    console.log(`${error.message} : nouvelle connexion`);
    connection.close().catch(() => {});
  };
  const channel = await connection.createConfirmChannel();
  channel.on("error", again);
  await channel.prefetch(1); // un à la fois, dans l’ordre
  await channel.consume(queue, (message) => take(channel, message).then(() => channel.ack(message)).catch(again));
}
const recovery = { setup, initialDelay: 2000, maxDelay: 5000, waitForConnect: false };
const connection = await amqp.connect(BROKER_URL, { ca, recovery });
connection.on("connect-failed", (error) => console.log(`${error.message} : nouvel essai`));
