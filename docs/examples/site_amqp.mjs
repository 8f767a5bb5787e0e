// Un site par AMQP : envoie ses visites, attend la réponse à chacune, renvoie les autres. npm install amqplib
import { readFileSync } from "node:fs";
import amqp from "amqplib";

const { BROKER_URL, BROKER_CA_FILE } = process.env;
const account = decodeURIComponent(new URL(BROKER_URL).username); // site.fs-moreuil
const ca = BROKER_CA_FILE && [readFileSync(BROKER_CA_FILE)]; // amqps:// : certificat et nom du serveur sont vérifiés
const visits = process.argv.slice(2).map((file) => readFileSync(file, "utf8"));
const waiting = new Map(visits.map((visit) => [JSON.parse(visit).visit_id, visit])); // chez vous : une table

async function setup(connection) { // à chaque connexion, et après 30 s de silence : tout ce qui attend est envoyé
  const channel = await connection.createConfirmChannel();
  const again = (error) => {
    console.log(`${error.message} : nouvel essai`);
    connection.close().catch(() => {});
  };
  channel.on("error", again);
  await channel.consume(account.replace("site.", "replies."), (message) => {
    if (message === null) return again(new Error("file supprimée"));
    const [reply, visitId] = [JSON.parse(message.content), message.properties.correlationId];
    const said = reply.status < 300 ? `dossier ${reply.case}, référence ${reply.reference}` : reply.detail;
    console.log(`Visite ${visitId} (${reply.status}) : ${said} ${JSON.stringify(reply.errors ?? "")}`);
    if (reply.status < 500) waiting.delete(visitId); // sinon, à renvoyer
    channel.ack(message); // une fois la réponse enregistrée chez vous
    silence.refresh();
    if (!waiting.size) channel.waitForConfirms().then(() => channel.close()).finally(() => process.exit(0));
  });
  const silence = setTimeout(() => again(new Error("pas de réponse en 30 s")), 30_000);
  connection.on("close", () => clearTimeout(silence));
  for (const [correlationId, visit] of waiting) {
    const options = { contentType: "application/json", persistent: true, userId: account, correlationId };
    channel.publish("visits.in", "", Buffer.from(visit), options);
  }
  await channel.waitForConfirms(); // échoue si la file est pleine
}
const recovery = { setup, initialDelay: 2000, maxDelay: 5000, waitForConnect: false };
const connection = await amqp.connect(BROKER_URL, { ca, recovery });
connection.on("connect-failed", (error) => console.log(`${error.message} : nouvel essai`));
