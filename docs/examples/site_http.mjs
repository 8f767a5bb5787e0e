// Le logiciel d’un site par HTTP : « post visite.json », « follow », « withdraw NUMÉRO ». Node seul suffit.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

const { RELAIS_TOKEN, INTAKE_URL, REFERRAL_URL, CURSOR = "suivi" } = process.env;
const headers = { Authorization: `Bearer ${RELAIS_TOKEN}`, "Content-Type": "application/json" };
const referrals = `${REFERRAL_URL}/v1/referrals`;

// La réponse ; renvoie le même document, donc le même visit_id, tant que Relais est absent ou occupé.
async function call(url, body) {
  for (let pauses = [1, 5, 30, 60]; ; pauses = pauses.slice(pauses.length > 1 ? 1 : 0)) {
    const options = { method: body ? "POST" : "GET", headers, body, signal: AbortSignal.timeout(20_000) };
    const answer = await fetch(url, options).catch(() => null);
    if (answer?.ok) return answer.json();
    if (answer && answer.status < 500 && answer.status !== 429) {
      console.error(`Refusé (${answer.status}) : ${await answer.text()}`);
      process.exit(1);
    }
    const wait = Number(answer?.headers.get("Retry-After") ?? pauses[0]);
    console.log(`Pas de réponse : nouvel essai dans ${wait} s`);
    await setTimeout(wait * 1000);
  }
}

const [command, argument] = process.argv.slice(2);
if (command === "post") {
  const taken = await call(`${INTAKE_URL}/v1/visits`, readFileSync(argument, "utf8"));
  console.log(`Visite ${taken.visit_id} : dossier ${taken.case}, référence ${taken.reference}`);
} else if (command === "follow") {
  for (;;) {
    const page = await call(existsSync(CURSOR) ? `${referrals}?after=${readFileSync(CURSOR, "utf8")}` : referrals);
    if (!page.referrals.length) break;
    for (const one of page.referrals) {
      const owes = one.next ? ` ; ${one.next.owner} : ${one.next.label}` : "";
      console.log(`Orientation ${one.referral_id} (${one.partner}) : ${one.state}${owes}`);
    }
    writeFileSync(CURSOR, page.next); // une fois la page enregistrée chez vous
  }
} else if (command === "withdraw") {
  console.log(`Retirée : ${(await call(`${referrals}/${argument}/withdraw`, '{"reason": "person"}')).state}`);
}
