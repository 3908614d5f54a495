"""Which sections there are. What is new and is to be backed up is a file with a section, and a line here."""

from __future__ import annotations

from models.backup.curricula import Curricula
from models.backup.people import Groups, UserMappings
from models.backup.pronunciations import Pronunciations
from models.backup.section import Section
from models.backup.services import Services
from models.backup.site import SiteConfig
from models.backup.training import TrainingPrompts, TrainingWorkers
from models.backup.users import ApiKeys, Users
from models.backup.wake_models import WakeModels

# In the order in which they are written: what others refer to comes before them.
NAMES = tuple(
    section.name
    for section in (
        *(Services, UserMappings, Groups, TrainingPrompts, TrainingWorkers, SiteConfig),
        *(Users, ApiKeys, Pronunciations, Curricula, WakeModels),
    )
)
# What an export has that names no sections: all but what is large.
BY_DEFAULT = tuple(name for name in NAMES if name != WakeModels.name)


def everything(secret_key: str, keep_sign_in: str | None = None) -> dict[str, Section]:
    """Every section by name; an import leaves the sign-in of whoever imports."""
    sections: tuple[Section, ...] = (
        *(Services(secret_key), UserMappings(), Groups(), TrainingPrompts(), TrainingWorkers(), SiteConfig()),
        *(Users(keep_sign_in), ApiKeys(), Pronunciations(), Curricula(), WakeModels()),
    )
    return {section.name: section for section in sections}
