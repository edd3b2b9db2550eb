"""The table of config entries: what each is for, and which entries of a checkpoint nobody knows.

An entry shapes the network (``DEFAULTS``: it is read), is one that a port cannot express (``INEXPRESSIBLE``: it is
looked at), or acts in training alone (``TRAINING``: it is passed over). Any other may do anything to the network.

Sources: fairseq 0.12.2, and what later fairseq and ContentVec's trainer have added; a test holds the table against
fairseq's own classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aves_artifacts.base.messages import printable
from aves_convert.checkpoint.checkpoint import Checkpoint
from aves_convert.checkpoint.model_class import is_fine_tuned
from aves_convert.pickles.records import preview

# --- shapes the network -----------------------------------------------------------------------------------------------

# The defaults of fairseq 0.12.2's HubertConfig; Wav2Vec2Config has the same. fairseq fills in what an old file lacks.
DEFAULTS: dict[str, Any] = {
    "extractor_mode": "default",
    "conv_feature_layers": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2",
    "conv_bias": False,
    "encoder_embed_dim": 768,
    "dropout_input": 0.0,
    "conv_pos": 128,
    "conv_pos_groups": 16,
    "encoder_layers": 12,
    "encoder_attention_heads": 12,
    "attention_dropout": 0.1,
    "encoder_ffn_embed_dim": 3072,
    "activation_dropout": 0.0,
    "dropout": 0.1,
    "layer_norm_first": False,
    "encoder_layerdrop": 0.0,
    "final_dim": 0,
    "target_glu": False,
    "untie_final_proj": False,
    "quantize_targets": False,
    "latent_dim": 0,
    "latent_groups": 2,
    "latent_vars": 320,
    "quantizer_depth": 1,
    "quantizer_factor": 3,
    "encoder_layers_1": 3,  # ContentVec's
}
SHAPING = frozenset(DEFAULTS) | {"_name", "arch", "task", "w2v_args", "normalize", "sample_rate", "labels"}

# --- what TorchAudio's wav2vec2_model cannot express ------------------------------------------------------------------

# config entry -> (the values that it can, the name of the rest)
INEXPRESSIBLE: dict[str, tuple[tuple[Any, ...], str]] = {
    "layer_type": (("transformer",), "another kind of layer"),
    "activation_fn": (("gelu",), "an activation other than exact GELU"),
    "pos_conv_depth": ((1,), "a stack of positional convolutions, as data2vec has"),
    "conv_pos_batch_norm": ((False,), "a batch-norm positional convolution"),
    "conv_pos_pre_norm": ((False,), "a layer norm before the positional convolution"),
    "pos_enc_type": (("abs", ""), "relative or rotary positions"),
    "attn_type": (("",), "ESPnet attention"),
    "quantize_input": ((False,), "quantised input"),
    "use_adp": ((False,), "adapters"),
    "adp_num": ((-1, 0), "adapters"),
    "instance_norm_target_layer": ((False,), "data2vec targets"),
    "crop_seq_to_multiple": ((1,), "its output cropped to a multiple of some frames"),
}
LAYER_TYPES = {"conformer": "conformer layers", "trf_adp": "adapters in its layers"}
# The settings of fine-tuning that take the place of the pretrained model's (fairseq's ``args_replacement``).
REPLACING = ("layer_type", "adp_num")

# --- training alone ---------------------------------------------------------------------------------------------------


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What acts in training alone, in how the work is laid out, or in parts that INEXPRESSIBLE refuses; by who has it.
TRAINING: dict[str, frozenset[str]] = {
    "HubertConfig and Wav2Vec2Config": _names(
        """
        label_rate dropout_features logit_temp feature_grad_mult mask_length mask_prob mask_selection mask_other
        no_mask_overlap mask_min_space mask_channel_length mask_channel_prob mask_channel_selection mask_channel_other
        no_mask_channel_overlap mask_channel_min_space latent_temp skip_masked skip_nomask checkpoint_activations
        required_seq_len_multiple depthwise_conv_kernel_size fp16 same_quantizer require_same_masks mask_dropout
        mask_channel_before num_negatives negatives_from_everywhere cross_sample_negatives codebook_negatives
        max_positions adp_dim adp_act_fn adp_trf_idx
        """
    ),
    "the configs of fine-tuning": _names(
        """
        w2v_path no_pretrained_weights final_dropout apply_mask freeze_finetune_updates layerdrop data
        offload_activations min_params_to_wrap ddp_backend blank_weight blank_mode drop_path update_alibi zero_mask
        load_ema layer_decay freeze_regex
        """
    ),
    "ContentVec": _names("ctr_layers logit_temp_ctr crop spk2info"),
    "the tasks": _names(
        """
        data fine_tuning label_dir label_rate enable_padding max_keep_size max_sample_size min_sample_size single_target
        random_crop pad_audio binarized_dataset num_batch_buckets precompute_mask_indices inferred_w2v_config tpu
        text_compression_level eval_wer eval_wer_config eval_wer_tokenizer eval_wer_post_process eval_bleu
        eval_bleu_detok eval_bleu_detok_args eval_tokenized_bleu eval_bleu_remove_bpe eval_bleu_args
        eval_bleu_print_samples autoregressive multi_corpus_keys multi_corpus_sampling_weights rebuild_batches
        precompute_mask_config post_save_script subsample seed target_dictionary
        """
    ),
}
# Old files have the whole command line of the training in one namespace: the options of the trainer, its optimizers,
# criterions and so on of 0.12.2, and in the end those that it has no more.
TRAINER = _names(
    """
    adam_betas adam_eps aim_repo aim_run_hash alignment_lambda all_gather_list_size amp amp_batch_retries
    amp_init_scale amp_scale_window average_sync azureml_logging batch_size batch_size_valid bce_pos_weight beam
    bert_score_lang best_checkpoint_metric bf16 block_lr block_momentum bpe_add_prefix_space bpe_cased bpe_codes
    bpe_merges bpe_separator bpe_vocab bpe_vocab_file broadcast_buffers bucket_cap_mb buffer_size
    checkpoint_shard_count checkpoint_suffix classification_head_name clip_norm combine_valid_subsets
    constraints context_window continue_once cpu cpu_offload ctc_weight curriculum data_buffer_size dataset_impl
    ddp_backend ddp_comm_hook decay_steps decoding_format device_id disable_validation discrete_duration
    discrete_f0 distributed_backend distributed_init_method distributed_no_spawn distributed_num_procs
    distributed_port distributed_rank distributed_world_size diverse_beam_groups diverse_beam_strength
    diversity_rate ema_decay ema_fp32 ema_seed_model ema_start_update ema_update_freq empty_cache_freq
    end_learning_rate eos eos_token fast_stat_sync final_lr_scale find_unused_parameters finetune_from_model
    fix_batches_to_gpus fixed_validation_seed force_anneal fp16 fp16_adam_stats fp16_init_scale
    fp16_no_flatten_grads fp16_scale_tolerance fp16_scale_window fp32_reduce_scatter gen_subset global_sync_iter
    gpt2_encoder_json gpt2_vocab_bpe gradient_as_bucket_view grouped_shuffling groups
    guided_attention_loss_sigma heartbeat_timeout hold_steps ignore_prefix_size ignore_unused_valid_subsets
    infonce init_lr_scale input iter_decode_eos_penalty iter_decode_force_max_iter iter_decode_max_iter
    iter_decode_with_beam iter_decode_with_external_reranker keep_best_checkpoints keep_interval_updates
    keep_interval_updates_pattern keep_last_epochs label_smoothing latency_avg_type latency_avg_weight
    latency_gather_method latency_update_after latency_var_type latency_var_weight lenpen lm_path lm_weight
    load_checkpoint_on_all_dp_ranks localsgd_frequency log_file log_format log_interval log_keys loss_weights lr
    lr_deacy_period lr_decay lr_patience lr_period_updates lr_shrink lr_threshold match_source_len max_epoch
    max_len_a max_len_b max_lr max_tokens max_tokens_valid max_update max_valid_steps
    maximize_best_checkpoint_metric memory_efficient_bf16 memory_efficient_fp16 min_len min_loss_scale min_lr
    model_overrides model_parallel_size momentum moses_no_dash_splits moses_no_escape nbest no_beamable_mm
    no_early_stop no_epoch_checkpoints no_last_checkpoints no_progress_bar no_repeat_ngram_size
    no_reshard_after_forward no_save no_save_optimizer_state no_seed_provided not_fsdp_flatten_parameters
    nprocs_per_node num_shards num_workers on_cpu_convert_precision optimizer_overrides output_word_probs
    output_word_stats pad path patience phase_ratio pipeline_balance pipeline_checkpoint pipeline_chunks
    pipeline_decoder_balance pipeline_decoder_devices pipeline_devices pipeline_encoder_balance
    pipeline_encoder_devices pipeline_model_parallel plasma_path post_process power pred_masked_weight
    pred_nomask_weight prefix_size print_alignment print_step profile quantization_config_path quiet
    regression_target replace_unk report_accuracy required_batch_size_multiple required_seq_len_multiple
    reset_dataloader reset_logging reset_lr_scheduler reset_meters reset_optimizer restore_file results_path
    retain_dropout retain_dropout_modules retain_iter_history sacrebleu sacrebleu_char_level sacrebleu_lowercase
    sacrebleu_tokenizer sampling sampling_topk sampling_topp save_dir save_interval save_interval_updates
    score_reference seed sentence_avg sentencepiece_alpha sentencepiece_enable_sampling sentencepiece_model
    sentencepiece_model_path shard_id shrink_min skip_invalid_size_inputs_valid_test skip_remainder_batch
    slowmo_base_algorithm slowmo_momentum softmax_batch source_lang stop_min_lr stop_time_hours store_ema
    suppress_crashes t_mult target_lang temperature tensorboard_logdir threshold_loss_scale total_num_update tpu
    train_subset unk unkpen unnormalized update_epoch_batch_itr update_freq update_ordered_indices_seed use_bmuf
    use_guided_attention_loss use_nbm use_old_adam use_plasma_view use_sharded_state user_dir valid_subset
    validate_after_updates validate_interval validate_interval_updates wandb_project warmup_init_lr
    warmup_iterations warmup_steps warmup_updates weight_decay wer_args wer_char_level wer_kenlm_model
    wer_lexicon wer_lm_weight wer_lowercase wer_remove_punct wer_tokenizer wer_word_score
    write_checkpoints_asynchronously zero_infinity zero_sharding
    criterion optimizer lr_scheduler scoring bpe tokenizer max_sentences max_sentences_valid local_rank raw_text
    lazy_load upsample_primary distributed_wrapper pdb
    """
)
_KNOWN = SHAPING | INEXPRESSIBLE.keys() | frozenset().union(*TRAINING.values())
_MISSING = "???"  # omegaconf's mark of an entry that was never given
MOST_RECORDED = 100  # unknown entries that are told one by one; nobody's config has as many


@dataclass(frozen=True)
class UnknownEntry:
    """An entry of a checkpoint's config that nobody knows, e.g. ``model.brand_new_option``, and its value in short."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


def unknown_entries(checkpoint: Checkpoint) -> tuple[UnknownEntry, ...]:
    """List the entries of a checkpoint's config that are unknown and set: neither false nor zero nor empty.

    Looked at are the settings of the model and of the task, and within a fine-tuned one those of the pretrained. Raises
    InputError for a model that is none of CLASSES.
    """
    model, task = checkpoint.model_config, checkpoint.task_config
    if _is_command_line(model):  # model and task are one and the same
        found = [*_unknown("args", model)]
    else:
        found = [*_unknown("model", model), *_unknown("task", task)]
    inner = model.get("w2v_args")
    if is_fine_tuned(checkpoint) and isinstance(inner, Mapping):
        parts = {f"w2v_args.{name}": inner[name] for name in ("model", "task") if isinstance(inner.get(name), Mapping)}
        for name, part in (parts if "w2v_args.model" in parts else {"w2v_args": inner}).items():
            found += _unknown(f"model.{name}", part)
    return tuple(found)


def _is_command_line(entries: Mapping[str, Any]) -> bool:
    """Whether these are the options of a whole training, as argparse left them."""
    return isinstance(entries.get("arch"), str) and isinstance(entries.get("task"), str)


def _unknown(where: str, entries: Mapping[str, Any]) -> Iterator[UnknownEntry]:
    known = _KNOWN | TRAINER if _is_command_line(entries) else _KNOWN
    for name, value in entries.items():
        if name not in known and value and value != _MISSING:
            yield UnknownEntry(f"{where}.{printable(name) if type(name) is str else preview(name)}", preview(value))
