"""An upscaler: Lanczos, an optional learned detail pass, and a sharpness of its own."""

from PIL import Image, ImageFilter

from webui.extensions.v1 import Field, ModelFile, UpscaleContext, Upscaler, hook


class AcmeSharp(Upscaler):
    """Lanczos, sharpened; with weights, blended with what a network makes of the picture."""

    id = "acme-sharp"
    label = "ACME Sharp"
    sharpness: float = Field(0.5, ge=0, le=1, title="Sharpness", help="0 leaves Lanczos alone.")
    weights: ModelFile | None = ModelFile(folder="upscalers")

    def upscale(self, image: Image.Image, scale: float, ctx: UpscaleContext) -> Image.Image:
        """See `Upscaler`."""
        size = (round(image.width * scale), round(image.height * scale))
        big = image.resize(size, Image.Resampling.LANCZOS)
        if self.weights is None:
            detail = big.filter(ImageFilter.UnsharpMask(radius=2, percent=150))
        else:
            network = ctx.load_image_model(self.weights)
            detail = ctx.run_tiled(network, image, tile=192, overlap=8).resize(size)
        return Image.blend(big, detail, self.sharpness)


@hook
def upscalers() -> list[type[Upscaler]]:
    """Offer it."""
    return [AcmeSharp]
