"""Posture: claims of security, each tried.

A claim is a probe that tried the forbidden thing and was refused, beside a control that differs in one thing and was
allowed; or that looked at what is there and found it as it must be. What could not be tried is `unverifiable`, which is
`unknown` and never a pass. One file a family of probes, each a pure core with its input and output at the end.
"""
