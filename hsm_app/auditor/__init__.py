"""The auditor: signs manifests by its rules, and keeps the public log of everything that it signed."""
