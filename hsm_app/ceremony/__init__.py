"""Ceremonies as data: the plan, the script, its document, the shares of custodians, the transcript. Pure."""
