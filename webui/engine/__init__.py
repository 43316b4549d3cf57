"""Batch and loaded model in, PIL pictures out: conditioning, latents, the denoising loop, hires
pass, inpainting, previews.
"""
