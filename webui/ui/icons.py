"""Own icons: 16 x 16 line drawings in the text's colour."""

from __future__ import annotations

PATHS = {
    "swap": "M5 2v10M5 12l-2.5-2.5M5 12l2.5-2.5M11 14V4M11 4 8.5 6.5M11 4l2.5 2.5",
    "dice": "M3 3h10v10H3zM5.6 5.6h.01M10.4 5.6h.01M8 8h.01M5.6 10.4h.01M10.4 10.4h.01",
    "recycle": "M13 8a5 5 0 0 1-9.2 2.7M3 8a5 5 0 0 1 9.2-2.7M12.5 2.5v3h-3M3.5 13.5v-3h3",
    "paste": "M5.5 3H4v11h8V3h-1.5M6 2h4v2.5H6zM8 7v4M8 11 6.4 9.4M8 11l1.6-1.6",
    "clear": "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 9h5.8l.6-9M6.8 7v4M9.2 7v4",
    "apply": "M3 4h10M3 7h6M3 10h4M12.5 8.5v5M12.5 13.5l-2-2M12.5 13.5l2-2",
    "edit": "M3 13l.8-3L10.6 3.2a1 1 0 0 1 1.4 0l.8.8a1 1 0 0 1 0 1.4L6 12.2z",
    "ruler": "M2.5 10.5l8-8 3 3-8 8zM5 8l1 1M7 6l1.5 1.5M9 4l1 1",
    "refresh": "M13 8a5 5 0 1 1-1.5-3.6M12 2v3H9",
    "language": "M2 8a6 6 0 1 0 12 0A6 6 0 0 0 2 8zM2 8h12M8 2c4 4 4 8 0 12M8 2c-4 4-4 8 0 12",
    "theme": "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
    "keyboard": "M1.5 4.5h13v7h-13zM4 7h.01M6.5 7h.01M9 7h.01M11.5 7h.01M5 9.3h6",
    "menu": "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
    "reset": "M4 4.5H9.5a3.5 3.5 0 0 1 0 7H5M4 4.5 6.2 2.3M4 4.5l2.2 2.2",
    "search": "M2.5 7a4.5 4.5 0 1 0 9 0 4.5 4.5 0 0 0-9 0zM10.3 10.3l3.2 3.2",
    "close": "M4 4l8 8M12 4l-8 8",
}


def svg(name: str) -> str:
    """An icon as inline SVG; it says nothing to screen readers, the button beside it must."""
    return (
        '<svg class="easel-icon" viewBox="0 0 16 16" width="16" height="16" fill="none" '
        'stroke="currentColor" stroke-width="1.3" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true"><path d="{PATHS[name]}"/></svg>'
    )


def mask_css() -> str:
    """CSS that draws the icons in front of Gradio buttons of class `easel-icon-<name>`."""
    rules = []
    for name, path in PATHS.items():
        drawing = (
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' "
            "fill='none' stroke='black' stroke-width='1.3' stroke-linecap='round' "
            f"stroke-linejoin='round'%3E%3Cpath d='{path}'/%3E%3C/svg%3E"
        )
        rules.append(f'.easel-icon-{name} {{ --easel-icon: url("{drawing}"); }}')
    return "\n".join(rules)
