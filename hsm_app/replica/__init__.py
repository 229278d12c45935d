"""The replica: the HSM application of one token. It decodes, authorises, votes, asks the token and answers."""
