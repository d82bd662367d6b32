//! The one thing in EXIF that changes pixels: how the camera was held.

/// The tag of the orientation.
const ORIENTATION: u16 = 0x0112;

/// The orientation, 1 to 8, in an APP1 segment; `None` when it is not there.
pub(super) fn orientation(segment: &[u8]) -> Option<u8> {
    let tiff = segment.strip_prefix(b"Exif\0\0")?;
    let little = match tiff.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let bytes = *tiff.get(4..)?.first_chunk()?;
    let directory = (if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }) as usize;
    let entries = usize::from(short(directory)?);
    let place = (0..entries).map(|i| directory + 2 + 12 * i).find(|&place| short(place) == Some(ORIENTATION))?;
    let value = short(place + 8)?;
    u8::try_from(value).ok().filter(|value| (1..=8).contains(value))
}
