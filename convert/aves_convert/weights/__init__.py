"""The mapping of tensors: fairseq to TorchAudio and back, with a ledger that accounts for each of them.

Arrays in, arrays out. Only ``model`` builds a TorchAudio model, and imports torch when it is called.
"""
