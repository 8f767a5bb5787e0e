"""Intake: where a visit arrives.

Owns: visits, cases with identity and story (encrypted), agreements.
Consumes: nothing inside; visits over HTTP.
Publishes: VisitRecorded.
"""
