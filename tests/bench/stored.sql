-- The rows of visits stored beforehand, as Relais would have written them; see growth.py, which fills in
-- $id (an identifier of the visit's time), $seen (that time) and $some (FROM generate_series …).

-- intake
WITH made AS (
    INSERT INTO cases (id, site, reference_index, reference_sealed, identity_index, birth_index, name_index,
        identity_sealed, opened_at)
    SELECT $id, 'fs-moreuil', sha256(i::text::bytea), sha256(i::text::bytea), sha256(i::text::bytea),
        sha256(mod(i, 25000)::text::bytea), sha256(i::text::bytea), decode(repeat('ab', 180), 'hex'), $seen $some
    RETURNING id, opened_at
), keys AS (
    INSERT INTO vault_keys (owner, wrapped) SELECT id, decode(repeat('cd', 60), 'hex') FROM made
), agreed AS (
    INSERT INTO agreements (case_id, recipient, sensitive, given_at, form)
    SELECT id, recipient, true, opened_at, 'oral'
    FROM made, unnest(ARRAY['department', 'operator', 'mission-locale-santerre']) AS recipient
)
INSERT INTO visits (site, visit_id, fingerprint, case_id, possible_matches, occurred_at, recorded_at, facts,
    free_text_sealed)
SELECT 'fs-moreuil', gen_random_uuid(), sha256(id::text::bytea), id, 0, opened_at, opened_at, repeat('x', 200),
    decode(repeat('ef', 120), 'hex') FROM made;

INSERT INTO outbox (type, routing_key, body, created_at)
SELECT 'fr.relais.VisitRecorded.v1', 'VisitRecorded', $id || repeat('x', 200), $seen $some;

INSERT INTO inbox (source, id, handled_at) SELECT '/relais/referral', $id::text, $seen $some;

INSERT INTO sent_referrals (referral_id, case_id, visit_id, site, need, partner, category, state, step, at)
SELECT $id, $id, gen_random_uuid(), 'fs-moreuil', 'jeune-sans-emploi-ni-formation', 'mission-locale-santerre', 'local',
    'sent', 1, $seen $some;

-- orientation
INSERT INTO inbox (source, id, handled_at) SELECT '/relais/intake', $id::text, $seen $some;

INSERT INTO outbox (type, routing_key, body, created_at)
SELECT 'fr.relais.OrientationProposed.v1', 'OrientationProposed', $id || repeat('x', 200), $seen $some;

-- referral
INSERT INTO inbox (source, id, handled_at) SELECT '/relais/orientation', $id::text, $seen $some;

WITH made AS (
    INSERT INTO referrals (id, orientation_id, proposal, visit_id, case_id, site, need, partner, category, department,
        fallbacks, reason, state, step, due_at, opened_at, changed_at, since, wake_at,
        agreed_at, reveals_health)
    SELECT $id, $id, 0, gen_random_uuid(), $id, 'fs-moreuil', 'jeune-sans-emploi-ni-formation',
        'mission-locale-santerre', 'local', '80', '[]', repeat('x', 80), 'sent', 1, $seen, $seen, $seen, $seen,
        now() + interval '9 days', $seen, false $some
    RETURNING id, opened_at
)
INSERT INTO history (referral_id, step, state, by, at) SELECT id, 1, 'sent', 'relais', opened_at FROM made;

INSERT INTO outbox (recipient, type, routing_key, body, created_at)
SELECT recipient, 'fr.relais.ReferralSent.v1', 'ReferralSent', $id || repeat('x', 200), $seen $some,
    unnest(ARRAY[NULL, 'mission-locale-santerre']) AS recipient;

-- reporting
INSERT INTO inbox (source, id, handled_at)
SELECT source, $id::text, $seen $some,
    unnest(ARRAY['/relais/intake', '/relais/orientation', '/relais/referral']) AS source;

WITH made AS (
    INSERT INTO visits (written_on, site, visit_id, occurred_at, day, mode, channel, visit_class, spie, charter, commune,
        department, age_band, sex, publics, "case")
    SELECT ($seen)::date, 'fs-moreuil', gen_random_uuid(), $seen, ($seen)::date, 'live', 'desk', 'emploi', true,
        'spie-somme-santerre', '80570', '80', '18-20', 'F', ARRAY['neet'], $id $some
    RETURNING written_on, site, visit_id
)
INSERT INTO needs (written_on, site, visit_id, position, code, outcome)
SELECT written_on, site, visit_id, 0, 'jeune-sans-emploi-ni-formation', 'to-refer' FROM made;

INSERT INTO proposals (orientation_id, position, site, visit_id, day, need, rule, partner, category, desk_first, unmet,
    "case", at)
SELECT $id, 0, 'fs-moreuil', gen_random_uuid(), ($seen)::date, 'jeune-sans-emploi-ni-formation', '04-jeune',
    'mission-locale-santerre', 'local', false, false, $id, $seen $some;

INSERT INTO referral_steps (referral_id, step, state, at, "case", sent_day, site, visit_id, need, partner, category,
    department, bounces, due_at)
SELECT $id, 1, 'sent', $seen, $id, ($seen)::date, 'fs-moreuil', gen_random_uuid(), 'jeune-sans-emploi-ni-formation',
    'mission-locale-santerre', 'local', '80', 0, $seen + interval '9 days' $some;
