"""Writing an encoder's ONNX graph node by node from its weights; and the ordinary export, to compare with.

``builder`` adds nodes; ``extractor``, ``attention``, ``transformer`` and ``encoder`` are the model; ``build`` makes the
whole. Only ``torch_export`` imports torch.
"""
