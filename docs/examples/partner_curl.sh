#!/bin/sh
# Un partenaire avec curl et jq : lit la suite de ses événements, accepte ce qu’on lui adresse.
set -eu
CURSOR=${CURSOR:-curseur} # où la lecture reprend ; sans ce fichier, au plus ancien événement conservé
BOOK=${BOOK:-livre.txt}   # l’id de chaque événement traité
touch "$BOOK"

call() { # écrit la réponse dans un fichier, affiche son code ; recommence seul après une coupure ou une erreur 5xx
  file=$1 && shift
  curl -sS --retry 10 --retry-connrefused --max-time 30 -o "$file" -w '%{http_code}' \
    -H "Authorization: Bearer $RELAIS_TOKEN" "$@" || :
}

take() { # votre traitement ; s’il échoue, la page sera relue, et la même réponse ne compte qu’une fois
  case $type in
  *.ReferralSent.v1)
    echo "Orientation $referral_id : $what, avant $when"
    code=$(call "$CURSOR.answer" "$REFERRAL_URL/v1/referrals/$referral_id/answers" -H 'Content-Type: application/json' \
      -d "{\"answer_id\": \"$id\", \"status\": \"accepted\"}")
    case $code in
    200 | 201) ;;
    404 | 409 | 422) echo "Réponse refusée ($code) : $(jq -r .detail "$CURSOR.answer")" ;;
    *) echo "Réponse non envoyée ($code)" && return 1 ;;
    esac ;;
  *.AnswerRefused.v1) echo "Réponse refusée : $what" ;;
  *) echo "Orientation $referral_id : $what (étape $when)" ;;
  esac
}

while :; do
  after=$(cat "$CURSOR" 2>/dev/null || :)
  code=$(call "$CURSOR.page" --get "$REFERRAL_URL/v1/referrals/events" ${after:+--data-urlencode "after=$after"})
  [ "$code" = 200 ] || { echo "Lecture impossible ($code)" && exit 1; } # 410 : voir « Après une longue absence »
  jq -r '.events[] | [.type, .id, (.data | .referral_id // "-", .to_state // .detail // .need,
    .step // .due_at // "-")] | @tsv' "$CURSOR.page" >"$CURSOR.events"
  while IFS='	' read -r type id referral_id what when; do
    grep -qxF "$id" "$BOOK" || { take && echo "$id" >>"$BOOK"; }
  done <"$CURSOR.events"
  jq -r '.next // empty' "$CURSOR.page" >"$CURSOR.new" && mv "$CURSOR.new" "$CURSOR"
  sleep "${EVERY:-5}"
done
