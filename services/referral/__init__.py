"""Referral: takes a proposal to the partner, and follows it to its end.

Owns: referrals, their history, partners' answers.
Consumes: OrientationProposed.
Publishes: ReferralSent, ReferralReceived, ReferralAccepted, ReferralDeclined, ReferralCompleted; and to each
partner's queue that partner's own view of ReferralSent.
"""
