"""How scenes are drawn: what share of them is cut, worn, in company, or turned away, and how far off hands are put."""

from dataclasses import dataclass

NEAREST_MM, FARTHEST_MM = 250.0, 700.0  # where hands are put


@dataclass(frozen=True)
class Placement:
    """How scenes are drawn. Shares are of scenes, all else off.

    Cut by the image border; forearm cut short, in a sleeve, with a watch; another hand or a thing in the hand's cube; seen
    edge-on; pointing away from the camera. Hands are put from nearest_mm to farthest_mm, by equal ratios if is_log_depth.
    """

    border_share: float
    cut_share: float
    sleeve_share: float
    watch_share: float = 0.0
    company_share: float = 0.0
    edge_on_share: float = 0.0
    pointing_away_share: float = 0.0
    nearest_mm: float = NEAREST_MM
    farthest_mm: float = FARTHEST_MM
    is_log_depth: bool = False


WHOLE = Placement(border_share=0.0, cut_share=0.0, sleeve_share=0.0)
PLAIN = Placement(border_share=0.08, cut_share=0.25, sleeve_share=0.12)
TRAINING = Placement(
    border_share=0.12, cut_share=0.25, sleeve_share=0.2, watch_share=0.1, company_share=0.15, edge_on_share=0.12,
    pointing_away_share=0.1, nearest_mm=200.0, farthest_mm=1000.0, is_log_depth=True,
)  # fmt: skip
