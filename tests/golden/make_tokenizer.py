"""Writes tokenizer.json: what CLIPTokenizer of transformers makes of many texts.

Run by hand in the repository root:  python tests/golden/make_tokenizer.py
Made with Python 3.11.7, transformers 5.24.0, tokenizers 0.23.3.
"""
import json
import random
import shutil
import tempfile
import unicodedata
from pathlib import Path

from transformers import CLIPTokenizer

ROOT = Path(__file__).resolve().parents[2]
NANO = ROOT / "configs/quickstart/model/tokenizer"
BOS, EOS = "<|startoftext|>", "<|endoftext|>"

# One short text in many scripts ("a cat sat on the mat" or a few letters).
SCRIPTS = """The quick brown fox jumps over the lazy dog|Ein Kätzchen saß auf der Straße, GROẞ und süß
Le café naïve à l'œuvre, où ça?|El niño comió jalapeños en el baño|Žluťoučký kůň úpěl ďábelské ódy
Đây là một con mèo đẹp|İstanbul'da ılık bir gün, DİYARBAKIR IŞIK|Η γάτα του ΟΔΥΣΣΕΑ ΚΆΘΕΤΑΙ ΣΤΟ ΧΑΛΊ
Быстрая Рыжая ЛИСА прыгает через ЁЖИКА|Їжак і ґава ЄДНІСТЬ|Կատուն ՆՍՏԱԾ է գորգի վրա|კატა ზის ᲮᲐᲚᲘᲩᲐᲖᲔ Ⴀⴀ
החתול ישב על השטיח שָׁלוֹם|القطة جلست على السجادة مَرْحَبًا ﷺ ﻻ|بلی گدی پر بیٹھی ہے|ܩܛܐ ܝܬܒ|ބުޅާ
बिल्ली चटाई पर बैठी है क़ ज़ १२३|বিড়াল মাদুরে বসল ড় ১২৩|ਬਿੱਲੀ ਚਟਾਈ|બિલાડી સાદડી પર|ବିଲେଇ|பூனை பாயில் கொ ௧௨|పిల్లి చాప|ಬೆಕ್ಕು ಚಾಪೆ ೨|പൂച്ച പായ|බළලා
แมวนั่งบนเสื่อ ๑๒๓|ແມວນັ່ງ|བྱི་ལ་གདན|ကြောင်က ၁၂|ឆ្មា ១២|ᠮᠣᠩᠭᠣᠯ|ድመቷ ምንጣፍ ላይ|ᎠᏂᎩᏍᎩ ꭰꭱ|ᐃᓄᒃᑎᑐᑦ
猫坐在垫子上。|貓坐在墊子上，很漂亮！|猫がマットの上に座った。ガギグ ｶﾞｷﾞ|고양이가 매트 위에 앉았다|고양이 각|ꀀꁴ|𠀀𪚥𫝆|ᚠᚢᚦ|𐌰𐌱|𐍈 𐐀𐐨 𞤀𞤢
ꙊꙋѠѡ Ⰰⰰ|Ʉʉ Ɐɐ Ȿȿ|ǅ ǆ ǈ ǋ ǲ|ﬁ ﬂ ﬀ ſ ẛ ẞ|K Å Ω ℵ ℃ № ™|½ ⅓ Ⅷ ⅷ ① ⒜ Ⓐ ㉠ ㊀ 𝟘𝟙 𝔘𝔫𝔦|𒀀𒁀 𓀀𓁐 𖠀|𞄀𞄁 ߊߋ߀"""

PLAIN = [
    "", " ", "\t\n", "a", "A", "a photo of a cat", "A PHOTO OF A CAT", "cat, dog; bird: fish.",
    "3.14159", "1234567890", "v2.0-rc1", "100% (really) #1 @home", "C:\\dir\\file", "a_b-c+d=e",
    "https://example.org/a?b=c&d=%20#e", "it's", "IT'S", "don't can't won't", "we're they've I'm",
    "she'll he'd 'twas", "'s", "'S", "''s", "'''", "'sd", "'llama", "'re're", "x'y'z", "rock'n'roll",
    "‘quoted’ ’s ’T", "'ı", "'st", "'tis the season", "o'clock's", "'d'd'd", "( 's )", "a's't'm",
    "e\u0301", "E\u0301", "é", "a\u0323\u0307", "a\u0307\u0323", "\u0301", " \u0301", "\u0344",
    "q\u0307\u0323\u0301", "\u1e9b\u0323", "\u0958", "\u0915\u093c", "\u1100\u1161\u11a8",
    "\uac00\u11a8", "\u1100\u1161", "\u1161\u11a8", "\u212b", "\u2126", "\uf900", "\u0f73",
    "\U0001d15e", "\u0130", "\u0130\u0307", "I\u0307", "i\u0307", "\u0130\u0130\u0130", "ß", "ẞ",
    "Σ", "ΑΣ", "ΣΑΣ ΑΣ.", "ς", "ͅ", "ᾼ", "\u1fd3", "ŉ", "ǰ", "\u2160\u2161", "\U00010400",
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd",
    "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3", "❤️", "☃\ufe0e☃\ufe0f", "\U0001f3f4\U000e0067\U000e007f",
    "a\U0001f600b", "\U0001f600\U0001f600 \U0001f600", "\x01\x02\x1b[0m", "a\x7fb", "a\x85b",
    "a\x1cb\x1db\x1eb\x1fc", "a\x0bb\x0cc\rd", "a\u00a0b", "a\u2003b\u3000c", "a\u200bb", "a\ufeffb",
    "a\u180eb", "a\u2028b\u2029c", "a\u00adb", "\ufffd", "\ufffe\uffff", "\ue000", "\U000f0000",
    "\U0010ffff", "\u0378", "  many   spaces  ", "\n\nlines\n\n", "tab\tand\r\nnewline",
    "!", "!!", "! !", "!?", "wow!", "wow !", "...", "…", "—–-", "«»„“”", "。、！？", "(((a)))",
    "[cat:1.2]", "{a|b}", "<b>bold</b>", "<cat>", "<CAT>", "$5€6£7¥8", "a\u0488", "x²y³", "a₁",
    "10⁻⁶", "٣٤٥", "१२", "Ⅻ", "𝟏𝟐", "㊿", "¼cup", "1a2b3c", "a1", "1a", "½½",
    "antidisestablishmentarianism", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "thecatisonthematandthedogisinthefog", "lalalalalalalalala", "catcatcatcat", "ininininin",
    "supercalifragilisticexpialidocious", "Donaudampfschifffahrtsgesellschaft",
    "x" * 300, "ab" * 150, "cat" * 100, "é" * 90, "猫" * 60, "'" * 70, "!" * 70, "9" * 40,
    "a\u0301" * 40, "a" + "\u0323\u0301\u0307" * 20, "\u0301\u0323" * 30, "word " * 30,
    BOS, EOS, BOS + EOS, f"a {BOS} cat", f"a{BOS}cat", f"{EOS}{EOS}", f"cat {EOS}!", f"!{BOS}!!",
    f"e{BOS}\u0301", f"  {EOS}  ", f"it{EOS}'s", BOS.upper(), EOS.upper(), f"a {EOS.title()} b",
    f"!!{BOS.upper()}!!", f"{BOS.upper()}!!", f"{BOS.upper()}'s", f"{BOS.upper()}1{EOS.upper()}",
    "<|startoftext", "startoftext|>", "<|start oftext|>", "<|<|endoftext|>|>", "<|\u017ftartoftext|>",
    "<|STARTOFTEXT|", "<|endof\u0130text|>", "<|startoftext|\u0338>", "a<|endoftext|>\u0301b",
    # where the tables of Python, tokenizers and utf8proc 15.0 are of different ages
    "\u1c89\u1c8a", "\ua7cb\ua7cc\ua7da\ua7dc", "\ua7ce\ua7d2\ua7d4", "\U00010d50\U00010d70\U00010d4a",
    "\U00016ea0\U00016eb8\U00016ebb", "\U000105c0\U000105d2\u0307", "a\U00010d40b\U00011bf0",
    "\U00011382\U000113c9", "\U00016d67\U00016d67", "\U00011938", "\U00011935\U00011930",
    "a\u08d3\u0301", "a\u0301\u08d3", "a\u0323\u08d3\u0301", "a\u1df6\u0323", "\u0c3c\u0c4d",
    "a\u033e\u0301", "a\u0316\u0301", "\U0002ebf0", "\U0001e08f\u0323a", "a\U0001e4ee\u0316", "\U00013460",
]


def texts(rng):
    yield from PLAIN
    for line in SCRIPTS.split("\n"):
        for text in line.split("|"):
            yield text
    everything = [c for c in range(1, 0x110000) if not 0xD800 <= c <= 0xDFFF]
    assigned = [c for c in everything if unicodedata.category(chr(c)) not in ("Cn", "Co")]
    marks = [c for c in assigned if unicodedata.category(chr(c))[0] == "M"]
    parts = [c for c in assigned if unicodedata.decomposition(chr(c))[:1] not in ("", "<")]
    pieces = [BOS, EOS, BOS.upper(), "<|", "|>", "'s", "'LL", "'", "!", " ", "\u00a0", "don't", "Cat",
              "12", "é", "e\u0301", "\u0130", "猫", "\U0001f600", "dog"]
    for _ in range(50):
        yield "".join(chr(rng.choice(everything)) for _ in range(rng.randint(1, 8)))
    for _ in range(60):
        yield "".join(chr(rng.choice(assigned)) for _ in range(rng.randint(1, 8)))
    for _ in range(40):
        yield "".join(chr(rng.choice(parts if rng.random() < 0.5 else marks))
                      for _ in range(rng.randint(2, 9)))
    for _ in range(60):
        yield "".join(rng.choice(pieces) for _ in range(rng.randint(2, 8)))


def shorter(rng):
    return [t for t in texts(rng) if "<" in t or "!" in t or "'" in t][:90]


def token(content, **flags):
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False,
            "single_word": False, **flags}


def typed(content, **flags):
    return {"__type": "AddedToken", **token(content, **flags)}


BASE = {"model_max_length": 32, "tokenizer_class": "CLIPTokenizer"}
# How published folders write their special tokens, and what else changes the ids: the contents of
# tokenizer_config.json, special_tokens_map.json and added_tokens.json.
FOLDERS = {
    "sd15": (dict(BASE, bos_token=typed(BOS), eos_token=typed(EOS), pad_token=EOS, unk_token=typed(EOS)),
             {"bos_token": token(BOS), "eos_token": token(EOS), "pad_token": EOS, "unk_token": token(EOS)}),
    "sd21": (dict(BASE, bos_token=typed(BOS), eos_token=typed(EOS), pad_token=EOS, unk_token=typed(EOS)),
             {"bos_token": token(BOS), "eos_token": token(EOS), "pad_token": "!", "unk_token": token(EOS)}),
    "sdxl_2": (dict(BASE, model_max_length=77, bos_token=BOS, eos_token=EOS, pad_token="!", unk_token=EOS,
                    added_tokens_decoder={"0": token("!", normalized=False, special=True),
                                          "2046": token(BOS, special=True),
                                          "2047": token(EOS, special=True)}),
               {"pad_token": token(EOS)}),
    "inversion": (dict(BASE, added_tokens_decoder={"2049": token("<CAT>", normalized=False, special=False),
                                                   "2048": token("<cat> É", special=False),
                                                   "2050": token("<CAT>dog", normalized=False, special=False),
                                                   "2046": token(BOS, normalized=False, special=True)}),
                  None),
    "mixed": (BASE, {"bos_token": {"content": BOS}, "eos_token": {"content": EOS, "normalized": True},
                     "unk_token": EOS, "pad_token": {"content": EOS, "normalized": True}}),
    "defaults": (BASE, None),
    "added": (BASE, {"pad_token": "!", "additional_special_tokens": ["<dog>", "<cat> É"]},
              {"<CAT>": 2049, "<cat> É": 2048, "!": 0, EOS: 2047}),
    "extra": (dict(BASE, additional_special_tokens=["<CAT>", typed("<cat> É"), "!", EOS]), None, {"<dog>": 2048}),
    "stripped": (dict(BASE, added_tokens_decoder={"2048": token("<CAT>", normalized=False, lstrip=True, rstrip=True),
                                                  "2049": token("<cat> É", lstrip=True),
                                                  "2050": token("<dog>", rstrip=True)}), None),
}
OPTIONAL = {"special": "special_tokens_map.json", "added": "added_tokens.json"}


def random_bpe(rng):
    """Merges in an order that no training gives: a later merge may outrank the ones that made it."""
    letters = ["a", "b", "c"]
    tokens = letters + [x + "</w>" for x in letters] + [BOS, EOS]
    merges = []
    while len(merges) < 60:
        left = rng.choice([t for t in tokens if not t.endswith("</w>") and t[0] != "<"])
        right = rng.choice([t for t in tokens if t[0] != "<"])
        if len(left + right) < 14 and (left, right) not in merges:
            merges.append((left, right))
            if left + right not in tokens:
                tokens.append(left + right)
    rng.shuffle(merges)
    merges.append(merges[0])  # twice: the later rank counts
    ids = list(range(len(tokens)))
    rng.shuffle(ids)
    words = ["".join(rng.choice("abc") for _ in range(rng.randint(1, 25))) for _ in range(60)]
    return (dict(zip(tokens, ids)), "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges),
            words + ["abcxyzabc", "a d", "d", "é", "cab!"])


def cases(folder, some):
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    full = [[t, *tokenizer(t)["input_ids"]] for t in some]
    length = tokenizer.model_max_length
    padded = [[t, *tokenizer(t, padding="max_length", max_length=length, truncation=True)["input_ids"]]
              for t in some[::9]]
    return {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id,
            "length": length, "full": full, "padded": padded}


def main():
    result = {"nano": cases(NANO, list(texts(random.Random(1))))}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for file in ("vocab.json", "merges.txt"):
            shutil.copyfile(NANO / file, folder / file)
        for name, (config, *others) in FOLDERS.items():
            (folder / "tokenizer_config.json").write_text(json.dumps(config))
            parts = {"config": config}
            for key, file in OPTIONAL.items():
                parts[key] = others.pop(0) if others else None
                (folder / file).unlink(missing_ok=True)
                if parts[key] is not None:
                    (folder / file).write_text(json.dumps(parts[key]))
            result[name] = cases(folder, shorter(random.Random(2)) + ["<CAT>", "<cat> é", "<CAT> É!", "<CAT>dogs", "<Cat> \t E\u0301", "a \t<CAT> \n's", "x <dog>  <CAT>\u2003<dog>1"])
            result[name] |= parts
        vocab, merges, words = random_bpe(random.Random(3))
        for file in OPTIONAL.values():
            (folder / file).unlink(missing_ok=True)
        (folder / "tokenizer_config.json").write_text(json.dumps(BASE))
        (folder / "vocab.json").write_text(json.dumps(vocab))
        (folder / "merges.txt").write_text(merges)
        result["untrained"] = cases(folder, words)
        result["untrained"] |= {"config": BASE, "special": None, "added": None, "vocab": vocab, "merges": merges}
    lines = ",\n".join(f'"{name}": {{' + ",\n".join(
        f'"{key}": ' + (("[\n" + ",\n".join(json.dumps(row) for row in value) + "]")
                        if key in ("full", "padded") else json.dumps(value))
        for key, value in part.items()) + "}" for name, part in result.items())
    Path(__file__).with_name("tokenizer.json").write_text("{" + lines + "}\n")
    print(sum(len(part["full"]) + len(part["padded"]) for part in result.values()), "cases")


if __name__ == "__main__":
    main()
