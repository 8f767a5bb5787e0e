"""Reporting: what came in, what was proposed, what became of it.

Owns: narrow facts of visits, needs, proposals and referral steps; each case's timeline; which sites know a case.
Consumes: every event of the network. Publishes: CaseRead.
"""
