//! Which requests are counted together, and what is told less apart when there are too many kinds of them.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

/// Mixes addresses: an odd number without a pattern.
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;
const STATUS_BITS: u32 = u16::BITS;

/// Borrowed from where they lie: a request that comes to a known cell copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    /// Of Unix time: the one in which the request began.
    pub minute: u64,
    /// 0 where no response began.
    pub status: u16,
    pub route: Option<&'a Arc<str>>,
    pub service: Option<&'a Arc<str>>,
    pub instance: Option<&'a Arc<str>>,
    pub tenant: Option<&'a Arc<str>>,
}

/// When a request began, how it ended, and where its names lie: the same for the same kind, while somebody keeps the names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark([u64; 5]);

/// What a cell keeps of its kind.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    mark: Mark,
    route: Option<Arc<str>>,
    service: Option<Arc<str>>,
    instance: Option<Arc<str>>,
    tenant: Option<Arc<str>>,
}

impl Kind<'_> {
    /// Of all its contents.
    pub(super) fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        let texts =
            [self.route, self.service, self.instance, self.tenant].map(|name| name.map(|name| &**name));
        hasher.hash_one((self.minute, self.status, texts))
    }

    #[inline]
    pub(super) fn mark(&self) -> Mark {
        let address = |name: Option<&Arc<str>>| name.map_or(0, |name| name.as_ptr().addr() as u64);
        Mark([
            self.begun(),
            address(self.route),
            address(self.service),
            address(self.instance),
            address(self.tenant),
        ])
    }

    /// The minute, and behind it the status.
    #[inline]
    fn begun(&self) -> u64 {
        self.minute << STATUS_BITS | u64::from(self.status)
    }

    pub(super) fn keep(&self) -> Kept {
        Kept {
            mark: self.mark(),
            route: self.route.cloned(),
            service: self.service.cloned(),
            instance: self.instance.cloned(),
            tenant: self.tenant.cloned(),
        }
    }
}

impl<'a> Kind<'a> {
    /// Itself, then kinds that tell less and less apart: of any instance, of any tenant, of anything. The same as
    /// `coarser` in `src/gatewright/insight/rollup_keys.py`.
    pub(super) fn coarser(self, other: &'a Arc<str>) -> [Self; 4] {
        let of_any_instance = Self { instance: self.instance.map(|_| other), ..self };
        let of_any_tenant = Self { tenant: self.tenant.map(|_| other), ..of_any_instance };
        let any = Some(other);
        let status = self.status / 100 * 100;
        let of_anything =
            Self { minute: self.minute, status, route: any, service: any, instance: any, tenant: any };
        [self, of_any_instance, of_any_tenant, of_anything]
    }
}

impl Mark {
    fn begun(&self) -> u64 {
        let Self([begun, ..]) = self;
        *begun
    }

    /// Eight bits of it.
    #[inline]
    pub(super) fn short(&self) -> u8 {
        let mixed = self.0.iter().fold(0, |mixed: u64, part| (mixed ^ part).wrapping_mul(MIXER));
        (mixed >> 56) as u8
    }
}

impl Kept {
    /// Is it that kind, with the very same names? Another one may still be the same by content.
    #[inline]
    pub(super) fn has(&self, mark: &Mark) -> bool {
        // In one go: a comparison of lists would be a call.
        let Mark([begun, route, service, instance, tenant]) = self.mark;
        let Mark([their_begun, their_route, their_service, their_instance, their_tenant]) = *mark;
        let names = (route ^ their_route) | (service ^ their_service);
        begun ^ their_begun | names | (instance ^ their_instance) | (tenant ^ their_tenant) == 0
    }

    /// By content: a snapshot brings names of its own.
    pub(super) fn is(&self, kind: &Kind<'_>) -> bool {
        self.mark.begun() == kind.begun()
            && is_same(&self.route, kind.route)
            && is_same(&self.service, kind.service)
            && is_same(&self.instance, kind.instance)
            && is_same(&self.tenant, kind.tenant)
    }

    pub(super) fn kind(&self) -> Kind<'_> {
        Kind {
            minute: self.mark.begun() >> STATUS_BITS,
            status: self.mark.begun() as u16,
            route: self.route.as_ref(),
            service: self.service.as_ref(),
            instance: self.instance.as_ref(),
            tenant: self.tenant.as_ref(),
        }
    }
}

fn is_same(kept: &Option<Arc<str>>, asked: Option<&Arc<str>>) -> bool {
    match (kept, asked) {
        (None, None) => true,
        (Some(kept), Some(asked)) => **kept == **asked,
        (None, Some(_)) | (Some(_), None) => false,
    }
}
