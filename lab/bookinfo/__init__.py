"""The lab's own Bookinfo: four small services in one image, with switches for tests.

Answers the HTTP API of Istio's sample of the same name (same ports, paths, field and environment names), so that a
playbook written for the one works with the other. Nothing outside the standard library, because the image holds
Debian's python3 and these files alone.

One role a process: ``python3 -m bookinfo productpage|details|ratings|reviews [PORT]``, or ``BOOKINFO_ROLE`` and ``PORT``.

Measured on one core of a small two-core machine, wrk with 16 kept-alive connections on loopback: see ``lab/mesh.md``.
"""
