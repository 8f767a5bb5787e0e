"""Intake: where a visit arrives, and where a person's identity and story stay.

Owns: visits, cases with identity and story (encrypted), agreements, the log of accesses.
Consumes: ReferralSent and the steps of referrals, CaseRead; visits over HTTP and AMQP.
Publishes: VisitRecorded, AgreementGiven, AgreementWithdrawn, CasesMerged, CasesUnmerged, CaseErased.
"""
