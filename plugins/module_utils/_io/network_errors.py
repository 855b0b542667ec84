# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What went wrong between this host and another one, as the end of a sentence about the other."""

from __future__ import annotations

import ssl


def network_sentence(error: OSError, timeout: float) -> str:
    """Return what the other host did or did not do; ``timeout`` is how many seconds it had."""
    if isinstance(error, TimeoutError):
        return f"did not answer within {timeout:.3g} seconds."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"showed a certificate that could not be verified: {error.verify_message.rstrip('.')}."
    return f"could not be reached: {(error.strerror or str(error)).rstrip('.')}."
