"""What can be queued: the Celery app, the table of job kinds, one thin body a kind, the fleet that starts workers.

May import ``workers``, ``models`` and ``config``; never Flask or marshmallow.
"""
