"""A fairseq checkpoint, or a folder of transformers as one: its settings, its architecture, and its tensors' names.

Reads checkpoints and other files that hold their weights, and refuses what cannot be expressed. A new dropped tensor or
a new fairseq name belongs in ``hubert_keys``; a new setting of the model in ``config_entries`` and ``architecture``.
"""
