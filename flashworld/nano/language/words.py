"""Names and synonyms of nano's closed choices.

Every table maps a choice of `scene` to its synonyms; the choice's own name is always valid. Phrases are lower
case, one to four words, without articles. Plurals ending in "s" are found by the parser and need no entry.
"""

from __future__ import annotations

COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("crimson", "scarlet", "ruby", "reddish"),
    "orange": ("amber",),
    "yellow": ("golden", "gold", "lemon"),
    "green": ("emerald", "olive", "lime"),
    "cyan": ("turquoise", "teal", "aqua", "mint"),
    "blue": ("navy", "azure", "sky blue", "dark blue", "light blue", "indigo"),
    "purple": ("violet", "lilac", "lavender", "magenta"),
    "pink": ("rose", "rosy"),
    "brown": ("tan", "chocolate", "bronze", "wooden", "leather"),
    "black": ("dark", "ebony"),
    "white": ("ivory", "cream", "pale"),
    "grey": ("gray", "silver", "metal", "metallic", "steel", "concrete"),
}
SHAPES: dict[str, tuple[str, ...]] = {
    "ball": ("sphere", "globe", "orb", "balloon", "football"),
    "cube": ("box", "crate", "chest", "dice"),
    "pillar": ("column", "cylinder", "pole", "post"),
    "cone": ("pyramid", "tent", "teepee"),
    "tree": ("oak", "bush", "shrub", "birch", "palm", "apple tree", "oak tree", "palm tree", "plant"),
    "pine": ("fir", "spruce", "conifer", "pine tree", "fir tree", "christmas tree"),
    "table": ("desk", "stool", "mushroom"),
    "hut": ("cottage", "shed", "yurt", "shack"),
    "house": ("cabin", "home", "barn", "villa", "building", "church"),
    "snowman": ("snow man",),
    "egg": ("oval", "boulder", "rock"),
    "block": ("slab", "bench", "bed", "brick block", "mattress"),
    "tower": ("obelisk", "skyscraper", "monolith", "high rise"),
    "sofa": ("couch", "settee", "loveseat"),
    "chair": ("armchair", "seat", "throne"),
    "lamp": ("floor lamp", "lantern", "lamppost", "street lamp", "streetlight"),
}
DEFAULT_COLOURS: dict[str, str] = {
    "ball": "red", "cube": "blue", "pillar": "white", "cone": "orange", "tree": "green", "pine": "green",
    "table": "brown", "hut": "yellow", "house": "white", "snowman": "white", "egg": "grey", "block": "grey",
    "tower": "grey", "sofa": "blue", "chair": "brown", "lamp": "yellow",
}  # fmt: skip
"""Default colours of things."""
SIZES: dict[str, tuple[str, ...]] = {
    "small": ("little", "tiny", "mini", "short"),
    "medium": ("medium sized", "normal"),
    "large": ("big", "huge", "giant", "tall", "enormous", "great", "massive"),
}
PATTERNS: dict[str, tuple[str, ...]] = {
    "plain": ("smooth", "simple", "painted"),
    "rough": ("plaster", "stony", "rugged"),
    "striped": ("stripy", "stripes"),
    "dotted": ("spotted", "polka dot", "dots"),
    "checkered": ("chequered", "checked", "plaid"),
}
COLUMNS: dict[str, tuple[str, ...]] = {
    "left": ("left side", "left hand side"),
    "centre": ("middle", "center", "ahead", "centrally"),
    "right": ("right side", "right hand side"),
}
ROWS: dict[str, tuple[str, ...]] = {
    "near": ("front", "nearby", "close by", "close", "foreground"),
    "far": ("back", "background", "far away", "distance", "behind", "distant", "rear"),
}
GROUNDS: dict[str, tuple[str, ...]] = {
    "grass": ("meadow", "lawn", "grassy", "field", "pasture", "garden", "park", "grassland", "prairie", "countryside"),
    "sand": ("desert", "sandy field", "beach", "sandy", "dune", "seashore", "shore"),
    "snow": ("snowy", "snowy field", "snow field", "snowy ground", "ice", "icy", "winter", "arctic"),
    "stone": (
        "paving stone",
        "rocky",
        "cobbled",
        "cobblestone",
        "paved",
        "pavement",
        "plaza",
        "square",
        "gravel",
        "marble",
    ),
    "dirt": ("earth", "muddy field", "ploughed field", "soil", "mud", "muddy", "clay", "farmland"),
    "water": ("lake", "sea", "ocean", "pond", "lagoon"),
    "wood": ("floorboard", "parquet", "hardwood", "planks", "wooden floor", "wood floor", "timber floor"),
    "tiles": ("tile", "tiled", "tiled floor"),
    "carpet": ("carpeted",),
}
WALL_NOUNS = ("wall", "wallpaper")
WALLS: dict[str, tuple[str, ...]] = {
    "brick": ("bricks",),
    "wood": ("wooden", "timber", "panelled", "paneled"),
}
"""Materials stated before (or with "of" after) a wall; patterns are those of things."""
SKY_NOUNS = ("sky", "skies")
SKIES: dict[str, tuple[str, ...]] = {
    "clear": ("sunny", "clear sky", "blue sky", "clear blue sky", "sunny day", "sunshine", "noon", "summer"),
    "cloudy": ("clouds", "cloud", "partly cloudy", "white clouds"),
    "overcast": ("grey sky", "gray sky", "rain", "rainy", "stormy", "storm", "gloomy"),
    "sunset": ("dusk", "evening", "twilight", "golden hour", "orange sky", "red sky", "sundown"),
    "dawn": ("sunrise", "morning", "pink sky", "daybreak"),
    "night": ("midnight", "night sky", "starry", "starry sky", "black sky", "dark sky", "moonlight", "nighttime"),
}
SKY_COLOURS: dict[str, str] = {
    "blue": "clear", "white": "overcast", "grey": "overcast", "orange": "sunset", "red": "sunset", "yellow": "sunset",
    "pink": "dawn", "purple": "dawn", "black": "night",
}  # fmt: skip
"""The sky that a colour before the word "sky" stands for."""
LIGHTS: dict[str, tuple[str, ...]] = {
    "bright": ("bright light", "daylight", "well lit", "sunlit"),
    "dim": ("dim light", "low light", "dimly lit", "shadowy", "candlelight"),
}
MIST = ("mist", "misty", "fog", "foggy", "haze", "hazy")
SETTINGS: dict[str, tuple[str, ...]] = {
    "outdoors": ("landscape", "outdoor", "outside", "scenery", "village", "street", "nature"),
    "room": (
        "living room", "bedroom", "indoor", "indoors", "interior", "inside", "hall", "kitchen", "office", "lounge",
        "studio", "apartment", "inside of a house", "inside a house", "inside the house", "dining room", "bathroom", "classroom",
    ),
}  # fmt: skip
EXTRAS: dict[str, tuple[str, ...]] = {
    "hills": ("hill", "hilly", "valley"),
    "mountains": ("mountain", "mountainous", "alps", "peak", "volcano"),
    "road": ("path", "street", "highway", "lane", "trail", "track"),
    "river": ("stream", "creek", "brook", "canal"),
    "window": (),
    "picture": ("painting", "poster", "artwork", "portrait"),
    "rug": ("mat",),
}
FILLERS = frozenset(
    """a an the and with under over on of in at to there is are stand stands standing lie lies lying sit sits sitting we see it its has
    have made into from above view photo image object thing static scene place floor ground ceiling day time one which that some by
    up down very all around beautiful nice wide full near_by shown showing show render 3d my our this these those for""".split()
)
"""Stop words, which are not reported."""
SEPARATORS = frozenset(",;.:!?&")
"""Separators between things; "and" is another one."""
