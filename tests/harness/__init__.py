# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers as child processes, for the system tests, the demo and the bench alike.

Nothing here imitates PostgreSQL or S3: ``postgres`` and ``stores`` start the real programs on free loopback ports,
``faults`` stands between a client and such a server and misbehaves on command.
"""
