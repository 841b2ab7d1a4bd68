"""The corpus of metadata as generators, people and programs write it: what each is taken for.

Signatures come from public code and published listings of files; credits, denials and names of
people, studios, places, scanners and jobs are of the kinds that archives and agencies write.
"""

import time

import pytest

from faceproof.provenance import read_provenance
from faceproof.provenance.credentials import describe_credentials
from faceproof.provenance.editors import find_editor
from faceproof.provenance.records import Statement
from faceproof.provenance.traces import mention_findings, source_type_findings, trace_findings
from support.metadata import exif, iim, placed, png, saved, with_segment, xmp

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
JOB = "Job ID: 6269d474-e4e5-47ee-d5a2-c1edc388fd00"
UUID = "6269d474-e4e5-47ee-d5a2-c1edc388fd00"
A1111 = (
    "a portrait of a woman\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M, Schedule type:"
    " Karras, CFG scale: 7, Seed: 1234, Size: 512x768, Model hash: 6ce0161689, Version: v1.10.1"
)
LABEL = '{"Label":"1","ContentProducer":"001191110102MACQD9K64010000","ProduceID":"7"}'

#: Key and value as a generator writes them.
GENERATED = [
    ("png:parameters", A1111),
    ("exif:usercomment", A1111),
    ("comment", A1111),
    ("png:parameters", "Steps: 28, Size: 832x1216, Seed: 3, Sampler: Euler a, CFG scale: 5"),
    ("png:parameters", "a face\nSteps: 60, Sampler: DPM++ 2M, Version: Fooocus v2.5.5"),
    ("png:parameters", '{"prompt": "a face", "version": "Fooocus v2.5.5"}'),
    ("exif:software", "Fooocus v2.5.5"),
    ("png:fooocus_scheme", "a1111"),
    ("png:parameters", '{"sui_image_params": {"prompt": "a face", "seed": 7}}'),
    ("exif:usercomment", '{\n  "sui_image_params": {"prompt": "a face"}}'),
    ("png:prompt", '{"3": {"inputs": {"seed": 5}, "class_type": "KSampler"}}'),
    ("png:workflow", '{"last_node_id": 9, "nodes": [], "links": []}'),
    ("exif:make", 'workflow:{"nodes": []}'),
    ("exif:model", 'prompt:{"3": {"class_type": "KSampler"}}'),
    ("exif:imagedescription", 'Workflow: {"nodes": []}'),
    ("png:invokeai_metadata", '{"generation_mode": "txt2img", "positive_prompt": "a face"}'),
    ("png:dream", '"a face" -s 50 -S 42 -W 512 -H 512 -C 7.5'),
    ("png:software", "NovelAI"),
    ("png:source", "NovelAI Diffusion V4.5 1229B44F"),
    ("png:source", "Stable Diffusion XL C1E1DE52"),
    ("png:comment", '{"prompt": "a face", "steps": 28, "uc": "", "signed_hash": "abc"}'),
    ("exif:usercomment", '{"Comment": "{\\"prompt\\": \\"x\\", \\"signed_hash\\": \\"y\\"}"}'),
    ("xmp:creatortool", "Draw Things"),
    ("png:use_stable_diffusion_model", "sd-v1-5"),
    ("exif:usercomment", '{"prompt": "a face", "use_stable_diffusion_model": "sd-v1-5"}'),
    ("png:description", f"a portrait of a woman --ar 2:3 --v 6.1 {JOB}"),
    ("exif:software", "Midjourney"),
    ("xmp:creatortool", "Midjourney v7"),
    ("exif:software", "ChatGPT"),
    ("exif:software", "OpenAI DALL-E 3"),
    ("xmp:creatortool", "Adobe Firefly"),
    ("stevt:softwareagent", "Adobe Firefly 3.0"),
    ("iim:originatingprogram", "Adobe Firefly"),
    ("exif:software", "Made with Google AI"),
    ("xmp:creatortool", "Google Gemini"),
    ("exif:software", "Microsoft Designer"),
    ("xmp:creatortool", "Bing Image Creator"),
    ("exif:software", "Apple Image Playground"),
    ("exif:software", "AI generated;txt2img;flux"),
    ("exif:make", "Black Forest Labs"),
    ("exif:software", "AI generated;t2i;qwen"),
    ("exif:make", "Ideogram AI"),
    ("xmp:creatortool", "reve.com"),
    ("exif:software", "Stable Diffusion"),
    ("exif:software", "Stable Diffusion WebUI 1.10"),
    ("exif:software", "Leonardo.Ai"),
    ("exif:software", "NightCafe Creator"),
    ("png:software", "AI generated"),
    ("tc260:aigc", LABEL),
    ("png:aigc", LABEL),
    ("exif:usercomment", f'{{"AIGC":{LABEL}}}'),
    ("exif:imagedescription", f"AIGC{LABEL}"),
    ("iptc4xmpext:aisystemused", "ChatGPT DALL-E"),
    ("iptc4xmpext:aisystemused", "Google Gemini"),
    ("iptc4xmpext:aisystemused", "Midjourney 7"),
    ("iptc4xmpext:digitalsourcetype", f"{IPTC}trainedAlgorithmicMedia"),
    ("iptc4xmpext:digitalsourcetype", f"{IPTC}compositeWithTrainedAlgorithmicMedia"),
    (
        "iptc4xmpext:digitalsourcetype",
        "https://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    ),
    ("iptc4xmpext:digitalsourcetype", "digsrctype:trainedAlgorithmicMedia"),
    ("iptc4xmpext:digitalsourcetype", "trainedAlgorithmicMedia"),
]

#: Key and value that people, archives, cameras and other programs write.
NOT_GENERATED = [
    # denials
    ("photoshop:credit", "Jane Doe, not AI-generated"),
    ("png:source", "Photograph; no AI generated content"),
    ("exif:imagedescription", "This is not AI generated. Shot on film."),
    ("exif:software", "Not AI generated"),
    ("png:software", "no generative AI; GIMP 2.10"),
    ("exif:usercomment", "Real photograph, made without AI"),
    ("comment", "No Midjourney, no Stable Diffusion: Kodak Portra 400"),
    ("iim:caption", "The agency confirms that the picture was not made with DALL-E"),
    ("iptc4xmpext:aisystemused", "none"),
    ("iptc4xmpext:aisystemused", "No AI system was used (not Midjourney)"),
    ("iptc4xmpext:digitalsourcetype", "not trainedAlgorithmicMedia"),
    ("iptc4xmpext:digitalsourcetype", "Original photograph; no trainedAlgorithmicMedia"),
    ("xmp:creatortool", "Not Adobe Firefly"),
    ("png:parameters", "none: a photograph, no Stable Diffusion"),
    # credits and sources
    ("photoshop:credit", "Firefly Photography"),
    ("photoshop:credit", "Handout / OpenAI"),
    ("photoshop:credit", "Courtesy of Midjourney, Inc."),
    ("photoshop:source", "Stability AI press office"),
    ("iim:credit", "OpenAI/AFP"),
    ("iim:credit", "Sora Kim"),
    ("iim:source", "Meta AI Research handout"),
    ("png:author", "Grok"),
    ("png:credit", "Black Forest Labs GmbH, press"),
    ("png:source", "Gemini Observatory/NOIRLab"),
    ("png:source", "Stable Diffusion exhibition, ZKM"),
    # captions
    ("dc:description", "Sam Altman, head of OpenAI, speaks about ChatGPT and DALL-E"),
    ("dc:title", "Protest against AI-generated art"),
    ("iim:caption", "Ideogram carved in stone, Kyoto"),
    ("exif:imagedescription", "A firefly over Lake Leonardo"),
    ("exif:imagedescription", "An engineer explains Steps: 20, Sampler: Euler a, CFG scale: 7"),
    ("dc:description", A1111),
    ("png:description", "Artist at work with Midjourney on her laptop"),
    # job numbers
    ("exif:imagedescription", f"Scan order. {JOB}"),
    ("png:description", f"Scan order, two negatives. {JOB}"),
    ("iim:specialinstructions", f"Print run 3. {JOB}"),
    ("comment", f"Lab {JOB}"),
    # scanners, cameras, fonts, plug-ins, apps of the same name
    ("exif:software", "Gemini Scan"),
    ("exif:software", "Gemini Scan 2.1"),
    ("exif:software", "Firefly Scanner 4"),
    ("exif:software", "Imagen Publishing Suite"),
    ("exif:software", "Sora Camera 1.2"),
    ("exif:software", "Leonardo Studio Capture 8"),
    ("exif:software", "Kandinsky font kit"),
    ("exif:software", "Ideogram Fonts 2"),
    ("exif:make", "Firefly"),
    ("exif:make", "Point Grey Firefly MV"),
    ("exif:make", "Qwen Camera Works"),
    ("exif:model", "Gemini 35"),
    ("xmp:creatortool", "Image Creator's Toolbox for Archives"),
    ("xmp:creatortool", "Snow Leopard Preview"),
    ("exif:processingsoftware", "Reface Facades Survey"),
    ("exif:software", "Meitu Xiuxiu reading room scanner"),
    ("tiff:software", "StyleGAN benchmark cropper, real photographs"),
    ("iim:originatingprogram", "Fotoware, Midjourney filter off"),
    ("stevt:softwareagent", "AI-generated picture filter"),
    # texts that only look like settings or labels
    ("exif:usercomment", '{"Label": "1"}'),
    ("exif:usercomment", "AIGC workshop, Label: 1"),
    ("png:prompt", "answer promptly"),
    ("png:workflow", "scan, retouch, archive"),
    ("png:dream", "a dream of the sea"),
    ("png:fooocus_scheme", "not used"),
    ("png:aigc", "no"),
    ("tc260:aigc", '{"Label":"0","ContentProducer":"x"}'),
    ("exif:imagedescription", "Signature: Ann Example"),
    ("iptc4xmpext:digitalsourcetype", f"{IPTC}digitalCapture"),
    ("iptc4xmpext:digitalsourcetype", f"{IPTC}compositeCapture"),
    ("iptc4xmpext:digitalsourcetype", "http://example.org/words/trainedAlgorithmicMedia"),
    # a platform's suspicion is no statement of origin
    ("tc260:aigc", LABEL.replace('"1"', '"3"')),
]  # fmt: skip


def indications(kind, data):
    return {finding.points_to for finding in read_provenance(data, kind=kind)[1]}


def spelt(pair):
    return f"{pair[0]}={pair[1][:40]}"


def test_the_corpus_is_large_enough_and_has_no_double():
    assert len(GENERATED) >= 50
    assert len(NOT_GENERATED) >= 60
    assert len({*GENERATED, *NOT_GENERATED}) == len(GENERATED) + len(NOT_GENERATED)


@pytest.mark.parametrize("pair", GENERATED, ids=spelt)
def test_the_signature_of_a_generator_is_recognised(pair):
    assert "made_by_ai" in indications(*placed(*pair))


@pytest.mark.parametrize("pair", NOT_GENERATED, ids=spelt)
def test_what_people_and_other_programs_write_is_not_made_by_ai(pair):
    assert "made_by_ai" not in indications(*placed(*pair))


@pytest.mark.parametrize("pair", NOT_GENERATED[:16], ids=spelt)
def test_a_denial_or_a_credit_is_quoted_as_it_stands(pair):
    findings = read_provenance(placed(*pair)[1], kind=placed(*pair)[0])[1]
    values = [finding.value for finding in findings if finding.points_to == "nothing"]
    if pair[1] != "none":
        assert pair[1] in values


#: What generators, signers and cameras write into content credentials: agent and source type.
CREDENTIALS = [
    ("Adobe_Firefly", "Adobe Firefly", "trainedAlgorithmicMedia", True),
    ("Adobe_Firefly/1.0 c2pa-adobe-js/0.16.0 c2pa-rs/0.25.1", "", "", True),
    ("Adobe_Firefly adobe_c2pa/0.5.0 c2pa-rs/0.20.0", "Adobe Firefly Pipeline", "", True),
    ("ChatGPT c2pa-rs/0.28.4", "", "", True),
    ("OpenAI-API c2pa-rs/0.28.4", "DALL\u00b7E", "", True),
    ("ChatGPT", "GPT-4o", "trainedAlgorithmicMedia", True),
    ("x", "gpt-image", "", True),
    ("x", "Azure OpenAI ImageGen", "", True),
    ("Microsoft_Responsible_AI/1.0", "Image Creator from Designer", "", True),
    ("Microsoft Responsible AI Image Provenance 1.0", "", "", True),
    ("Google C2PA Core Generator Library", "Google Generative AI", "", True),
    ("Google C2PA Core Generator Library", "", "trainedAlgorithmicMedia", True),
    ("x", "Imagen 3.0", "", True),
    ("Black Forest Labs API", "", "", True),
    ("Dreamina/1.2", "", "", True),
    ("Google C2PA Core Generator Library", "Pixel Camera", "computationalCapture", False),
    ("Adobe_Photoshop/25.0.0 adobe_c2pa/0.7.6", "Adobe Photoshop 25.0.0", "", False),
    ("Leica M11-P", "", "digitalCapture", False),
    ("Truepic Lens CLI", "Firefly Photography Uploader", "digitalCapture", False),
    ("Reuters C2PA, not AI-generated", "", "", False),
]


@pytest.mark.parametrize(("generator", "agent", "source", "made"), CREDENTIALS)
@pytest.mark.parametrize("signer", ["OpenAI", "Adobe Inc.", "Stability AI Ltd"])
def test_content_credentials_speak_by_program_and_source_type_not_by_signer(
    generator, agent, source, made, signer
):
    action = {"action": "c2pa.created"}
    if agent:
        action["softwareAgent"] = agent
    if source:
        action["digitalSourceType"] = IPTC + source
    manifest = {
        "signature_info": {"issuer": signer},
        "claim_generator": generator,
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
    store = {"active_manifest": "a", "manifests": {"a": manifest}, "validation_state": "Valid"}
    claims = describe_credentials(store, list_given=False)[1]
    findings = [*trace_findings(claims), *source_type_findings(claims), *mention_findings(claims)]
    assert ("made_by_ai" in {finding.points_to for finding in findings}) is made


def test_groks_signature_is_two_fields_of_which_one_is_not_enough():
    signature = "Signature: " + 100 * "AbC1"
    both = exif(ImageDescription=signature, Artist=UUID)
    assert "made_by_ai" in indications("JPEG", saved("JPEG", exif=both))
    named = exif(ImageDescription=signature, Artist="Ann Example")
    assert "made_by_ai" not in indications("JPEG", saved("JPEG", exif=named))


def test_a_property_counts_only_in_its_own_name_space():
    for name in ("other:DigitalSourceType", "other:AISystemUsed", "other:CreatorTool"):
        value = "Midjourney" if "Type" not in name else f"{IPTC}trainedAlgorithmicMedia"
        assert indications("JPEG", saved("JPEG", xmp=xmp({name: value}))) == {"nothing"}


def test_a_picture_placed_in_another_speaks_for_itself_only():
    inner = f"{IPTC}trainedAlgorithmicMedia"
    packet = xmp({"xmp:CreatorTool": "x"}).replace(
        b"<xmp:CreatorTool>x</xmp:CreatorTool>",
        b"<xmpMM:Pantry><rdf:Bag><rdf:li><rdf:Description><Iptc4xmpExt:DigitalSourceType>"
        + inner.encode()
        + b"</Iptc4xmpExt:DigitalSourceType></rdf:Description></rdf:li></rdf:Bag></xmpMM:Pantry>",
    )
    assert b"Pantry" in packet
    assert "made_by_ai" not in indications("JPEG", saved("JPEG", xmp=packet))


def test_names_of_people_are_not_quoted():
    block = exif(ImageDescription="Ann Example on the beach", Artist="Firefly Photography")
    findings = read_provenance(saved("JPEG", exif=block), kind="JPEG")[1]
    assert not any("Ann" in finding.value or "Firefly" in finding.value for finding in findings)


def test_a_mention_far_in_is_shown_with_what_stands_before_it():
    text = "beach, " * 60 + "it was not made with Midjourney"
    claims = [Statement("JPEG comment", "comment", text)]
    (found,) = mention_findings(claims)
    assert "it was not made with Midjourney" in found.value
    assert (found.kind, found.points_to) == ("metadata", "nothing")


EDITED = [
    ("exif:software", "Adobe Photoshop Lightroom Classic 13.0 (Windows)", "Adobe Lightroom"),
    ("exif:software", "Windows Photo Editor 10.0.10011.16384", "a photo editor"),
    ("xmp:creatortool", "Canva (Renderer) doc=DAF user=UAF", "Canva"),
    ("comment", "Created with GIMP", "GIMP"),
    ("comment", "Created with The GIMP", "GIMP"),
    ("comment", "File written by Adobe Photoshop\u00a8 4.0", "Adobe Photoshop"),
    ("credentials:claim_generator", "Adobe_Photoshop/25.0.0 adobe_c2pa/0.7.6", "Adobe Photoshop"),
]
NOT_EDITED = [
    ("comment", "never opened in Photoshop"),
    ("comment", "GIMP course, evening class"),
    ("comment", "Photograph by Luminar Studio"),
    ("png:comment", "Not edited with GIMP"),
    ("exif:software", "No Photoshop, straight from camera"),
    ("exif:software", "Unedited (not Lightroom)"),
    ("xmp:creatortool", "Scan without Adobe Photoshop"),
]


@pytest.mark.parametrize(("key", "text", "program"), EDITED)
def test_an_editor_is_recognised_by_its_own_words(key, text, program):
    assert find_editor(Statement("here", key, text)).name == program


@pytest.mark.parametrize(("key", "text"), NOT_EDITED)
def test_a_denial_or_a_name_is_no_editor(key, text):
    assert find_editor(Statement("here", key, text)) is None


def test_a_generator_that_signs_as_the_maker_is_no_camera():
    for make in ("Ideogram AI", "Black Forest Labs"):
        data = saved("JPEG", exif=exif(Make=make, Model="x"))
        assert "captured" not in indications("JPEG", data)


def test_the_signature_in_a_png_with_several_texts_is_found_and_the_credit_quoted():
    data = png(parameters=A1111, Source="Courtesy of OpenAI")
    findings = read_provenance(data, kind="PNG")[1]
    assert [finding.kind for finding in findings] == ["generator_trace", "metadata"]


def test_a_caption_in_iptc_is_quoted_with_its_place():
    data = with_segment(saved("JPEG"), 0xED, iim(Credit="OpenAI/AFP"))
    (found,) = [one for one in read_provenance(data, kind="JPEG")[1] if one.kind == "metadata"]
    assert (found.where, found.value, found.points_to) == ("IPTC Credit", "OpenAI/AFP", "nothing")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("exif:Software", "Midjourney" + " 11" * 600 + " !"),
        ("exif:Software", "Adobe_Firefly" + "/1(" * 600),
        ("exif:Software", "The " * 500),
        ("png:parameters", "Steps: 1, " * 50_000),
        ("png:description", " --v 6" * 50_000),
        ("png:aigc", '{"Label"' * 50_000),
        ("exif:UserComment", '{"AIGC":{' + "x" * 500_000),
    ],
)
def test_a_value_that_nearly_matches_is_given_up_at_once(key, text):
    claims = [Statement("here", key, text)]
    started = time.process_time()
    assert find_editor(claims[0]) is None
    assert not [found for found in trace_findings(claims) if found.points_to == "made_by_ai"]
    assert time.process_time() - started < 2
