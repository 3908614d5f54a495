"""The units of measures: what is written, and what is said of one and of many."""

from __future__ import annotations

_PLAIN = """
mm millimeter|cm centimeter|dm decimeter|m meter|km kilometer|nm nanometer|µm micrometer|μm micrometer|pm picometer
mi mile|yd yard|ft foot/feet|in. inch/inches|ha hectare|nmi nautical mile
mg milligram|g gram|kg kilogram|µg microgram|μg microgram|mcg microgram|lb pound|lbs pound|oz ounce|t ton
ml milliliter|mL milliliter|cl centiliter|dl deciliter|l liter|L liter|tsp teaspoon|tbsp tablespoon|gal gallon|qt quart
Tbsp tablespoon|Tbsp. tablespoon|mi. mile|yd. yard
tsp. teaspoon|tbsp. tablespoon|oz. ounce|lb. pound|lbs. pound|ft. foot/feet|fl oz fluid ounce/fluid ounces
ns nanosecond|µs microsecond|μs microsecond|ms millisecond|s second|sec second|sec. second|min minute|min. minute
mins minute|secs second
h hour|hr hour|hrs hour|hr. hour|hrs. hour|yr year|yrs year|yr. year|yrs. year|mos month
kB kilobyte|KB kilobyte|MB megabyte|GB gigabyte|TB terabyte|PB petabyte|KiB kibibyte|MiB mebibyte|GiB gibibyte
kbps kilobit_per second|kbit/s kilobit_per second|Mbps megabit_per second|Mbit/s megabit_per second
Gbps gigabit_per second|Gbit/s gigabit_per second|MB/s megabyte_per second|GB/s gigabyte_per second
kHz kilohertz/kilohertz|MHz megahertz/megahertz|GHz gigahertz/gigahertz|Hz hertz/hertz|THz terahertz/terahertz
V volt|mV millivolt|kV kilovolt|mA milliampere|Ah ampere hour|mAh milliampere hour|A ampere|W watt|kW kilowatt
MW megawatt|GW gigawatt|mW milliwatt|kWh kilowatt hour|MWh megawatt hour|Wh watt hour|Ω ohm|kΩ kilohm|MΩ megohm|Ω ohm
N newton|kN kilonewton|Nm newton meter|J joule|kJ kilojoule|MJ megajoule|eV electronvolt|keV kiloelectronvolt
MeV megaelectronvolt|GeV gigaelectronvolt|cal calorie|kcal kilocalorie|Pa pascal|hPa hectopascal|kPa kilopascal
MPa megapascal|K kelvin|C coulomb|F farad|µF microfarad|μF microfarad|T tesla|H henry/henries|mol mole|mmol millimole
dB decibel|rpm revolution_per minute|bpm beat_per minute|psi pound_per square inch|ppm part_per million
ppb part_per billion|px pixel|Bq becquerel|Sv sievert|mSv millisievert|lm lumen|lx lux/lux|cd candela
mph mile_per hour|km/h kilometer_per hour|kph kilometer_per hour|kmh kilometer_per hour|m/s meter_per second
km/s kilometer_per second|cm/s centimeter_per second|ft/s foot/feet_per second|m/s² meter_per second squared
m/s^2 meter_per second squared|m² square meter|km² square kilometer|cm² square centimeter|mm² square millimeter
m^2 square meter|km^2 square kilometer|cm^2 square centimeter|ft² square foot/square feet|sq ft square foot/square feet
sq. ft. square foot/square feet|sq km square kilometer|sq mi square mile|sq m square meter|m³ cubic meter
cm³ cubic centimeter|mm³ cubic millimeter|km³ cubic kilometer|m^3 cubic meter|cm^3 cubic centimeter
cc cubic centimeter|ft³ cubic foot/cubic feet|g/cm³ gram_per cubic centimeter|kg/m³ kilogram_per cubic meter
g/cm^3 gram_per cubic centimeter|kg/m^3 kilogram_per cubic meter|g/mol gram_per mole
g/l gram_per liter|g/L gram_per liter
mol/L mole_per liter|mol/l mole_per liter|mg/dL milligram_per deciliter|mg/kg milligram_per kilogram
mg/L milligram_per liter
kg·m/s kilogram meter_per second|N·m newton meter
N/m newton_per meter|N/m² newton_per square meter|W/m² watt_per square meter|V/m volt_per meter|J/kg joule_per kilogram
kg/s kilogram_per second|mpg mile_per gallon|people/km² person/people_per square kilometer|frames/s frame_per second
fps frame_per second|dpi dot_per inch|ly light year|AU astronomical unit
"""


def _table(text: str) -> dict[str, tuple[str, str]]:
    table = {}
    for entry in text.replace("\n", "|").strip("|").split("|"):
        head, _, per = entry.partition("_")
        # The name begins after the last word of the abbreviation, which for "sq. ft." is the second.
        for start in ("nmi ", "fl oz ", "sq. ft. ", "sq ft ", "sq km ", "sq mi ", "sq m "):
            if head.startswith(start):
                written, name = start.strip(), head[len(start) :]
                break
        else:
            written, _, name = head.partition(" ")
        one, _, many = name.partition("/")
        end = f" {per}" if per else ""
        table[written] = (one + end, (many or f"{one}s") + end)
    return table


# As it is written: what is said of one, and of many.
UNITS = _table(_PLAIN)
# Letters that mean other things as often.
STRICT = frozenset("A C F H T t l cd AU px pm mos cal ha cc N/m".split()) - {"ha", "cal", "px", "N/m", "cd", "mos"}
# Measures written out, of which half is "half a cup".
CUPS = {
    word: (word, many)
    for word, many in (
        *(("cup", "cups"), ("mile", "miles"), ("inch", "inches"), ("foot", "feet"), ("hour", "hours")),
        *(("minute", "minutes"), ("pound", "pounds"), ("ounce", "ounces"), ("pint", "pints"), ("gallon", "gallons")),
        *(("teaspoon", "teaspoons"), ("tablespoon", "tablespoons"), ("liter", "liters"), ("litre", "litres")),
        *(("kilometer", "kilometers"), ("meter", "meters"), ("day", "days"), ("year", "years"), ("second", "seconds")),
    )
}
