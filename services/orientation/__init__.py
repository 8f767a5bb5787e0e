"""Orientation: whom the person should meet.

Owns: nothing but its ledger, which is the proposals made, with the version of the rules they came from.
Consumes: VisitRecorded.
Publishes: OrientationProposed.
"""
