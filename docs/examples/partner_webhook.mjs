// Un partenaire par webhook : vérifie, retient, répond 204, puis accepte par HTTP. npm install standardwebhooks
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout } from "node:timers/promises";
import { Webhook } from "standardwebhooks";

const { WEBHOOK_SECRET, RELAIS_TOKEN, WEBHOOK_PORT = "8080", BOOK = "livre.jsonl" } = process.env;
const webhook = new Webhook(WEBHOOK_SECRET);
const headers = { Authorization: `Bearer ${RELAIS_TOKEN}`, "Content-Type": "application/json" };
// Le livre : une ligne par événement reçu, une par événement traité. Chez vous : une table.
const [seen, waiting] = [new Set(), new Map()];
const read = ({ done, event }) => {
  if (done) waiting.delete(done);
  else if (!seen.has(event.id)) waiting.set(event.id, event) && seen.add(event.id);
};
const write = (line) => appendFileSync(BOOK, `${JSON.stringify(line)}\n`) ?? read(line);
if (existsSync(BOOK)) readFileSync(BOOK, "utf8").split("\n").filter(Boolean).forEach((line) => read(JSON.parse(line)));

createServer(async (request, response) => { // ne fait que retenir, pour répondre vite
  const parts = [];
  for await (const part of request) parts.push(part);
  try {
    const event = webhook.verify(Buffer.concat(parts).toString(), request.headers);
    if (!seen.has(event.id)) write({ event });
    response.writeHead(204).end();
  } catch {
    response.writeHead(401).end();
  }
}).listen(Number(WEBHOOK_PORT), "127.0.0.1");

async function take({ id, type, data }) { // votre traitement ; false : à refaire plus tard, avec la même réponse
  if (data.step) console.log(`Orientation ${data.referral_id} : ${data.to_state} (étape ${data.step})`);
  if (type !== "fr.relais.ReferralSent.v1") return true;
  console.log(`Orientation ${data.referral_id} : ${data.need}, avant ${data.due_at}`);
  const body = JSON.stringify({ answer_id: id, status: "accepted" });
  const answer = await fetch(data.links.answers, { method: "POST", headers, body }).catch(() => ({ status: 0 }));
  if (answer.status >= 400) console.log(`Réponse refusée (${answer.status}) : ${await answer.text()}`);
  return [200, 201, 404, 409, 422].includes(answer.status);
}

for (;;) {
  for (const event of waiting.values()) if (await take(event)) write({ done: event.id });
  await setTimeout(200);
}
