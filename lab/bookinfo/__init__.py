# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's own Bookinfo: four small services in one image, with switches for tests.

Answers the HTTP API of Istio's sample of the same name (same ports, paths, field and environment names), so that a
playbook written for the one works with the other. Nothing outside the standard library, because the image holds
Debian's python3 and these files alone.

One service a process: ``python3 -m bookinfo productpage|details|ratings|reviews [PORT]``, or the environment variables
``BOOKINFO_ROLE`` and ``PORT``.

Measured on one core of a small two-core machine, wrk with 16 kept-alive connections on loopback: see ``lab/mesh.md``.
"""
