# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Bookinfo: four small services in one image, with faults for tests.

It has the HTTP API of Istio's sample of the same name (ports, paths, fields and environment variables), so that
playbooks work with both. It uses only the standard library, because the image contains only Debian's python3 and these
files.

One process is one service: ``python3 -m bookinfo productpage|details|ratings|reviews [PORT]``, or the environment
variables ``BOOKINFO_ROLE`` and ``PORT``. ``lab/mesh.md`` has its measured throughput.
"""
