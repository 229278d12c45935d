"""OPAQUE-3DH with P-256: RFC 9380 (hash to curve), RFC 9497 (OPRF), RFC 9807 (OPAQUE). Pure; split at the token."""
