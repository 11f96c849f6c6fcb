"""Where the time of a call goes, by the lines of the user's file."""

from tessera.profile.comparison import Comparison as Comparison
from tessera.profile.device_peaks import Peaks as Peaks
from tessera.profile.device_peaks import device_peaks as device_peaks
from tessera.profile.line_costs import LineCost as LineCost
from tessera.profile.profile import Profile as Profile
from tessera.profile.profile import profile as profile
