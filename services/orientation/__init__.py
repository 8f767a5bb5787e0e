"""Orientation: whom the person should meet.

Owns: the proposals made, with the version of the rules they came from.
Consumes: VisitRecorded.
Publishes: OrientationProposed.
"""
