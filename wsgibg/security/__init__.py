"""What dependencies may know of the OAuth2 scopes that are asked of them."""

from __future__ import annotations

from wsgibg.params import SecurityScopes

__all__ = ["SecurityScopes"]
