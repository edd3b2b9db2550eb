"""A fairseq checkpoint: its settings, its architecture, and the names that fairseq gives to tensors.

Reads checkpoints and other files that hold their weights, and refuses what cannot be expressed. A new dropped tensor or
a new fairseq name belongs in ``hubert_keys``; a new setting of the model in ``config_entries`` and ``architecture``.
"""
