"""Reference implementation of the ADM U-Net with plain torch functions (Dhariwal and Nichol 2021, section 3).

The implementation shares no code with hsifeat. Each block is a list of steps. The shapes of the tensors and the forward
pass are derived from these steps.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812


@dataclass(frozen=True)
class Plan:
    """Architecture of a network, with the names of the flags of guided-diffusion."""

    model_channels: int = 32
    mult: tuple = (1, 2, 2)
    residual_blocks: int = 1
    attention_at: tuple = (2, 4)  # by downsampling factor
    heads: int | None = None
    head_channels: int | None = None
    new_order: bool = False
    scale_shift: bool = True
    resblock_updown: bool = True
    classes: int | None = None
    learn_sigma: bool = True
    channels: int = 3

    def encoder(self):
        """List the steps of each input block, such as ("conv", in, out), ("res", in, out, resampling)."""
        width = int(self.mult[0] * self.model_channels)
        blocks, widths = [[("conv", self.channels, width)]], [width]
        factor = 1
        for level, mult in enumerate(self.mult):
            for _ in range(self.residual_blocks):
                out = int(mult * self.model_channels)
                steps = [("res", width, out, None)]
                if factor in self.attention_at:
                    steps.append(("attention", out))
                width = out
                blocks.append(steps)
                widths.append(width)
            if level < len(self.mult) - 1:
                blocks.append([("res", width, width, "down") if self.resblock_updown else ("down", width)])
                widths.append(width)
                factor *= 2
        return blocks, widths, width, factor

    def middle(self):
        """List the steps of the middle block."""
        width = self.encoder()[2]
        return [("res", width, width, None), ("attention", width), ("res", width, width, None)]

    def decoder(self):
        """List the steps of each output block."""
        _, widths, width, factor = self.encoder()
        blocks = []
        for level, mult in reversed(list(enumerate(self.mult))):
            for i in range(self.residual_blocks + 1):
                out = int(mult * self.model_channels)
                steps = [("res", width + widths.pop(), out, None)]
                if factor in self.attention_at:
                    steps.append(("attention", out))
                width = out
                if level and i == self.residual_blocks:
                    steps.append(("res", width, width, "up") if self.resblock_updown else ("up", width))
                    factor //= 2
                blocks.append(steps)
        return blocks

    def shapes(self):
        """Return a dict that maps the names of all tensors to their shapes."""
        time = 4 * self.model_channels
        last = int(self.mult[0] * self.model_channels)
        shapes = {
            **_linear("time_embed.0", self.model_channels, time),
            **_linear("time_embed.2", time, time),
            **_norm("out.0", last),
            **_conv("out.2", last, self.channels * (1 + self.learn_sigma)),
        }
        if self.classes:
            shapes["label_emb.weight"] = (self.classes, time)
        blocks = {f"input_blocks.{i}": steps for i, steps in enumerate(self.encoder()[0])}
        blocks["middle_block"] = self.middle()
        blocks |= {f"output_blocks.{i}": steps for i, steps in enumerate(self.decoder())}
        for block, steps in blocks.items():
            for i, step in enumerate(steps):
                shapes |= self._step_shapes(f"{block}.{i}", step, time)
        return shapes

    def _step_shapes(self, at, step, time):
        if step[0] == "conv":
            return _conv(at, *step[1:])
        if step[0] == "down":
            return _conv(f"{at}.op", step[1], step[1])
        if step[0] == "up":
            return _conv(f"{at}.conv", step[1], step[1])
        if step[0] == "attention":
            c = step[1]
            return {
                **_norm(f"{at}.norm", c),
                f"{at}.qkv.weight": (3 * c, c, 1), f"{at}.qkv.bias": (3 * c,),
                f"{at}.proj_out.weight": (c, c, 1), f"{at}.proj_out.bias": (c,),
            }  # fmt: skip
        _, n, out, _ = step
        return {
            **_norm(f"{at}.in_layers.0", n),
            **_conv(f"{at}.in_layers.2", n, out),
            **_linear(f"{at}.emb_layers.1", time, out * (1 + self.scale_shift)),
            **_norm(f"{at}.out_layers.0", out),
            **_conv(f"{at}.out_layers.3", out, out),
            **(_conv(f"{at}.skip_connection", n, out, 1) if n != out else {}),
        }

    def draw(self, seed=0):
        """Return a dict of random tensors for the network. They are scaled so that activations neither vanish nor explode."""
        generator = torch.Generator().manual_seed(seed)
        tensors = {}
        for name, shape in self.shapes().items():
            drawn = torch.randn(shape, generator=generator)
            if len(shape) == 1:
                tensors[name] = 0.1 * drawn + (name.endswith("weight"))
            else:
                tensors[name] = drawn if name == "label_emb.weight" else drawn / math.sqrt(math.prod(shape[1:]))
        return tensors

    def forward(self, tensors, x, t, label_row=None):
        """Return the output of the network and of each output block; `label_row` is added to the timestep embedding."""
        half = self.model_channels // 2
        angles = t * torch.exp(-math.log(10000) * torch.arange(half) / half)
        emb = torch.cat([angles.cos(), angles.sin()])[None]
        emb = F.silu(F.linear(emb, tensors["time_embed.0.weight"], tensors["time_embed.0.bias"]))
        emb = F.linear(emb, tensors["time_embed.2.weight"], tensors["time_embed.2.bias"])
        if label_row is not None:
            emb = emb + label_row
        kept = []
        for i, steps in enumerate(self.encoder()[0]):
            x = self._block(tensors, f"input_blocks.{i}", steps, x, emb)
            kept.append(x)
        x = self._block(tensors, "middle_block", self.middle(), x, emb)
        outputs = []
        for i, steps in enumerate(self.decoder()):
            x = self._block(tensors, f"output_blocks.{i}", steps, torch.cat([x, kept.pop()], 1), emb)
            outputs.append(x)
        return _convolve(tensors, "out.2", F.silu(_normed(tensors, "out.0", x))), outputs

    def _block(self, tensors, block, steps, x, emb):
        for i, step in enumerate(steps):
            at = f"{block}.{i}"
            if step[0] == "conv":
                x = _convolve(tensors, at, x)
            elif step[0] == "down":
                x = F.conv2d(x, tensors[f"{at}.op.weight"], tensors[f"{at}.op.bias"], stride=2, padding=1)
            elif step[0] == "up":
                x = _convolve(tensors, f"{at}.conv", _doubled(x))
            elif step[0] == "attention":
                x = self._attend(tensors, at, x)
            else:
                x = self._residual(tensors, at, x, emb, step[3])
        return x

    def _residual(self, tensors, at, x, emb, resampling):
        h = F.silu(_normed(tensors, f"{at}.in_layers.0", x))
        if resampling == "up":
            h, x = _doubled(h), _doubled(x)
        if resampling == "down":
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        h = _convolve(tensors, f"{at}.in_layers.2", h)
        shift_and_scale = F.linear(
            F.silu(emb), tensors[f"{at}.emb_layers.1.weight"], tensors[f"{at}.emb_layers.1.bias"]
        )
        shift_and_scale = shift_and_scale[..., None, None]
        if self.scale_shift:
            scale, shift = shift_and_scale.chunk(2, 1)
            h = _normed(tensors, f"{at}.out_layers.0", h) * (1 + scale) + shift
        else:
            h = _normed(tensors, f"{at}.out_layers.0", h + shift_and_scale)
        h = _convolve(tensors, f"{at}.out_layers.3", F.silu(h))
        if f"{at}.skip_connection.weight" in tensors:
            x = F.conv2d(x, tensors[f"{at}.skip_connection.weight"], tensors[f"{at}.skip_connection.bias"])
        return x + h

    def _attend(self, tensors, at, x):
        n, c, *side = x.shape
        heads = self.heads or c // self.head_channels
        d = c // heads
        flat = _normed(tensors, f"{at}.norm", x).reshape(n, c, -1)
        qkv = F.conv1d(flat, tensors[f"{at}.qkv.weight"], tensors[f"{at}.qkv.bias"])
        outputs = []
        for h in range(heads):
            if self.new_order:
                starts = [h * d, c + h * d, 2 * c + h * d]
            else:
                starts = [3 * h * d, 3 * h * d + d, 3 * h * d + 2 * d]
            q, k, v = (qkv[:, s : s + d] for s in starts)
            weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(d), -1)
            outputs.append(v @ weights.transpose(1, 2))
        out = F.conv1d(torch.cat(outputs, 1), tensors[f"{at}.proj_out.weight"], tensors[f"{at}.proj_out.bias"])
        return x + out.reshape(n, c, *side)


def _linear(at, n, out):
    return {f"{at}.weight": (out, n), f"{at}.bias": (out,)}


def _conv(at, n, out, side=3):
    return {f"{at}.weight": (out, n, side, side), f"{at}.bias": (out,)}


def _norm(at, n):
    return {f"{at}.weight": (n,), f"{at}.bias": (n,)}


def _normed(tensors, at, x):
    return F.group_norm(x, 32, tensors[f"{at}.weight"], tensors[f"{at}.bias"], eps=1e-5)


def _convolve(tensors, at, x):
    return F.conv2d(x, tensors[f"{at}.weight"], tensors[f"{at}.bias"], padding=1)


def _doubled(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
