"""Orientation: whom the person should meet.

Owns: the official list of sites, the service directory, the rules that were in use; and its ledger, which is the
proposals made, with the version of the rules they came from.
Consumes: VisitRecorded.
Publishes: OrientationProposed.
"""
