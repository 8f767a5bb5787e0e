"""Referral: takes a proposal to the partner, or a partner's referral to a site, and follows it to its end.

Owns: referrals, their history, answers.
Consumes: OrientationProposed.
Publishes: ReferralSent, ReferralReceived, ReferralAccepted, ReferralDeclined, ReferralCompleted; and to each
partner's queue that partner's own view of ReferralSent.
"""
