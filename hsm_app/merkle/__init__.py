"""The hash trees over a replica's rows, and the anchor record that the token keeps of them. Bytes in, bytes out."""
