# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements on real servers: what a backup costs beside `pg_dump` to a file and `aws s3 cp`. No tests: nothing here passes or fails."""
