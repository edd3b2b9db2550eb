"""Mapping tensors from fairseq and transformers to TorchAudio and back, with an account of each of them.

Arrays in, arrays out. Only ``model`` builds a TorchAudio model, and imports torch when it is called.
"""
