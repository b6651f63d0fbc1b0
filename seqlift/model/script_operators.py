"""The operators of torch that a TorchScript file may have, by name.

Arithmetic on tensors, and what torch has for numbers, lists, dicts and text in scripts. Beside
these are allowed torch's own core, which all others can be made of, and whatever has a rule here.
"""

from __future__ import annotations

import torch

from seqlift.deeplift import rules  # noqa: F401  (fills the registry)
from seqlift.deeplift.registry import rule_for

__all__ = ["OPERATORS", "is_operator"]

# Of numbers, lists, dicts and text, and what scripts ask about tensors and say to people.
LANGUAGE = """
    Bool Complex Float FloatImplicit Int IntImplicit ScalarImplicit __and__ __contains__
    __derive_index __getitem__ __is__ __isnot__ __lshift__ __not__ __or__ __range_length
    __round_to_zero_floordiv __rshift__ __xor__ append capitalize clear copy count degrees device
    dict dim divmod endswith extend fabs factorial find floordiv format gcd get get_device hash hex
    index insert is_autocast_enabled is_complex is_contiguous is_floating_point is_grad_enabled
    is_nonzero is_same_size is_signed isdigit items join keys len list lower mathremainder numel oct
    ord percentFormat pop popitem radians remove replace reverse setdefault size sorted split
    startswith stride strip sym_numel sym_size update upper values warn
"""
ARITHMETIC = """
    abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all amax amin aminmax any
    arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh baddbmm
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm ceil
    celu clamp clamp_max clamp_min clip copysign cos cosh cosine_similarity count_nonzero cross
    cummax cummin cumprod cumsum deg2rad diff digamma div divide dot einsum elu eq erf erfc erfinv
    exp exp2 expm1 fft_fft fft_fft2 fft_fftn fft_ifft fft_ifft2 fft_ifftn fft_irfft fft_rfft
    float_power floor floor_divide fmax fmin fmod frac ge gelu ger glu greater greater_equal gt
    hardshrink hardsigmoid hardswish hardtanh heaviside hypot inner isclose isfinite isin isinf
    isnan isneginf isposinf isreal kron le leaky_relu lerp less less_equal lgamma linalg_norm
    linalg_vector_norm linear log log10 log1p log2 log_sigmoid log_softmax logaddexp logaddexp2
    logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp lt matmul
    matrix_power max maximum mean median min minimum mish mm mse_loss mul multiply mv nan_to_num
    nanmean nanmedian nanquantile nansum ne neg negative norm not_equal outer pow prelu prod
    quantile rad2deg reciprocal relu relu6 remainder round rrelu rsqrt rsub selu sgn sigmoid sign
    signbit silu sin sinc sinh softmax softplus softshrink special_digamma special_entr special_erf
    special_erfc special_erfinv special_exp2 special_expit special_expm1 special_gammaln
    special_log1p special_log_ndtr special_log_softmax special_logit special_logsumexp special_ndtr
    special_round special_sinc special_softmax special_xlog1py special_xlogy sqrt square std
    std_mean sub subtract sum tan tanh tensordot threshold trace true_divide trunc var var_mean vdot
    xlogy
"""
LAYERS = """
    __interpolate __upsample _adaptive_avg_pool2d _convolution _convolution_mode _log_softmax
    _native_multi_head_attention _pad_circular _reshape_from_tensor _shape_as_tensor _softmax
    _to_copy _transformer_encoder_layer_fwd _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    _upsample_lanczos2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d alpha_dropout avg_pool1d avg_pool2d
    avg_pool3d batch_norm bilinear channel_shuffle col2im conv1d conv2d conv3d conv_transpose1d
    conv_transpose2d conv_transpose3d convolution dropout embedding feature_alpha_dropout
    feature_dropout group_norm gru gru_cell im2col instance_norm layer_norm lstm lstm_cell
    max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d
    max_pool3d_with_indices native_group_norm native_layer_norm pixel_shuffle pixel_unshuffle
    rms_norm rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell scaled_dot_product_attention
    upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d
    upsample_nearest3d upsample_trilinear3d
"""
ARRANGING = """
    alias arange argmax argmin argsort atleast_1d atleast_2d atleast_3d bernoulli block_diag
    broadcast_tensors broadcast_to cat chunk clone column_stack complex concat concatenate
    constant_pad_nd contiguous copy cpu cuda detach diag diag_embed diagonal dstack empty empty_like
    expand expand_as eye fill flatten flip fliplr flipud full full_like gather hsplit hstack imag
    index index_add index_copy index_fill index_put index_reduce index_select item linspace logspace
    mT masked_fill masked_scatter masked_select matrix_H meshgrid moveaxis movedim narrow new_empty
    new_full new_ones new_zeros nonzero numpy_T one_hot ones ones_like pad pad_sequence permute rand
    rand_like randint randn randn_like ravel real reflection_pad1d reflection_pad2d reflection_pad3d
    repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape
    reshape_as roll rot90 scalar_tensor scatter scatter_add scatter_reduce searchsorted select slice
    sort split split_with_sizes squeeze stack stft sum_to_size swapaxes swapdims t take
    take_along_dim tensor tensor_split tile to topk transpose tril triu type_as unbind unflatten
    unfold unsqueeze view view_as vsplit vstack where zero zeros zeros_like
"""
OPERATORS = frozenset(f"{LANGUAGE} {ARITHMETIC} {LAYERS} {ARRANGING}".split())
# Not there since they read beyond weights of another size: native_batch_norm, _weight_norm.
# What is not allowed by a rule or by being core alone: it takes addresses, or the inside of others.
NEVER = (
    "backward", "from_file", "nested", "resize", "set_", "sparse", "storage", "strided", "unsafe",
)  # fmt: skip


def is_operator(name: str) -> bool:
    """Say whether an operator is on the list; one that works in place is as it is without."""
    plain = name if name.endswith("__") else name.removesuffix("_")
    if name in OPERATORS or plain in OPERATORS:
        return True
    if name.startswith("_") or any(word in name for word in NEVER):
        return False
    packet = getattr(torch.ops.aten, plain, None)
    overloads = [] if packet is None else [getattr(packet, o) for o in packet.overloads()]
    return any(
        torch.Tag.core in overload.tags or rule_for(overload) is not None for overload in overloads
    )
