#!/bin/sh
# Le logiciel d’un site avec curl et jq : « post visite.json », « follow », « withdraw NUMÉRO ».
set -eu
CURSOR=${CURSOR:-suivi} # ce qui a changé depuis la dernière fois

call() { # met la réponse dans $answer ; renvoie seul le même document, donc le même visit_id, après 503 ou une coupure
  answer=$(curl -sS --fail-with-body --retry 10 --retry-connrefused --max-time 20 \
    -H "Authorization: Bearer $RELAIS_TOKEN" -H 'Content-Type: application/json' "$@") ||
    { echo "Refusé : $answer" >&2 && exit 1; }
}
show() { printf '%s' "$answer" | jq -r "$1"; }

case $1 in
post)
  call "$INTAKE_URL/v1/visits" -d "@$2"
  show '"Visite \(.visit_id) : dossier \(.case), référence \(.reference)"' ;;
follow)
  while :; do
    after=$(cat "$CURSOR" 2>/dev/null || :)
    call --get "$REFERRAL_URL/v1/referrals" ${after:+--data-urlencode "after=$after"}
    [ "$(show '.referrals | length')" != 0 ] || exit 0
    show '.referrals[] | "Orientation \(.referral_id) (\(.partner)) : \(.state)" +
      if .next then " ; \(.next.owner) : \(.next.label)" else "" end'
    show .next >"$CURSOR" # une fois la page enregistrée chez vous
  done ;;
withdraw)
  call "$REFERRAL_URL/v1/referrals/$2/withdraw" -d '{"reason": "person"}'
  show '"Retirée : \(.state)"' ;;
esac
